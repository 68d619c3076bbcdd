"""The documentation as a site: it builds without a warning, and its reference is complete."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from patience import WORK

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built with every missing page, link and anchor as an error."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=WORK)
    assert done.returncode == 0, done.stderr[-4000:]
    return folder


@pytest.mark.slow
def test_every_link_and_picture_of_the_site_is_in_it(site: Path) -> None:
    broken = []
    for page in site.rglob("*.html"):
        if page.name == "404.html":
            continue  # served from anywhere: its links are absolute
        for link in re.findall(r"(?:href|src)=\"?([^\"\s>]+)", page.read_text()):
            if re.match(r"[a-z]+:|#|\.\?|data:", link):
                continue
            if not (page.parent / link.split("#")[0].split("?")[0]).exists():
                broken.append(f"{page.relative_to(site)}: {link}")
    assert not broken


@pytest.mark.slow
def test_nothing_is_fetched_from_elsewhere(site: Path) -> None:
    fetched = re.compile(r"<(?:script|img)[^>]*src=\"?https?:|<link[^>]*stylesheet[^>]*https?:")
    for page in site.rglob("*.html"):
        assert not fetched.findall(page.read_text())


@pytest.mark.slow
def test_the_reference_has_every_command_message_parameter_and_argument(site: Path) -> None:
    from vla_sae_ros.cli import COMMANDS
    from vla_sae_ros.systems.robots import SYSTEMS

    reference = {page.stem: page.read_text() for page in (site / "reference").glob("*.html")}
    assert all(f"vla-sae {command.name}" in reference["commands"] for command in COMMANDS)
    definitions = [p for kind in ("msg", "srv", "action") for p in (ROOT / kind).iterdir()]
    assert all(f">{path.stem}<" in reference["messages"] for path in definitions)
    for system in SYSTEMS.values():
        for argument in system.arguments:
            assert f"<code>{argument.name}</code>" in reference["launch_arguments"]
    classes = "".join(path.read_text() for path in (ROOT / "vla_sae_ros/nodes").rglob("*.py"))
    declared = set(re.findall(r"declare_parameters\(self, (\w+)", classes))
    generator = (ROOT / "tools" / "reference.py").read_text()
    assert declared and all(f": {name}," in generator for name in declared)
