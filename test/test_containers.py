"""Dockerfile and devcontainer say what docs/ros.md says, which test_ros_install.py runs.

Nothing here builds an image: there is no registry of images where these tests run.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCKERFILE = (ROOT / "docker" / "Dockerfile").read_text()
CREATE = (ROOT / ".devcontainer" / "create.sh").read_text()
DEVCONTAINER = (ROOT / ".devcontainer" / "devcontainer.json").read_text()


def rehearsed_lines() -> list[str]:
    text = (ROOT / "docs" / "ros.md").read_text()
    block = re.search(r"<!-- rehearsed -->\n+```bash\n(.*?)```", text, re.DOTALL)
    assert block is not None
    return block[1].splitlines()


def joined(text: str) -> list[str]:
    """Return the commands of a file: continued lines in one, split where && joins them."""
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    commands = [each.strip() for line in lines for each in line.removeprefix("RUN ").split("&&")]
    return [" ".join(each.split()) for each in commands if each]


def test_both_run_the_lines_of_the_page_in_its_order() -> None:
    source, clone, make, build, sourced = rehearsed_lines()
    assert clone.endswith(" src/vla_sae_ros") and sourced == "source install/setup.bash"
    for text in (DOCKERFILE, CREATE):
        commands = joined(text)
        assert commands.index(source) < commands.index(make) < commands.index(build)
    assert "COPY . src/vla_sae_ros" in DOCKERFILE and sourced in DOCKERFILE


def test_both_install_the_same_packages_of_the_system() -> None:
    prepared = [
        [each for each in joined(text) if each.startswith(("apt-get install", "rosdep"))]
        for text in (DOCKERFILE, CREATE)
    ]
    assert prepared[0] == prepared[1] and len(prepared[0]) == 3
    page = (ROOT / "docs" / "ros.md").read_text()
    for package in prepared[0][0].split("--no-install-recommends ")[1].split():
        assert f" {package} " in page


def test_the_devcontainer_is_the_image_of_the_dockerfile_and_opens_its_workspace() -> None:
    told = json.loads("\n".join(x for x in DEVCONTAINER.splitlines() if not x.startswith("//")))
    assert f"ARG BASE={told['image']}\n" in DOCKERFILE
    assert told["workspaceFolder"] == "/ws/src/vla_sae_ros" and "WORKDIR /ws" in DOCKERFILE
    assert told["onCreateCommand"].split()[-1] == ".devcontainer/create.sh"


def test_both_say_that_they_were_not_built() -> None:
    for text in (DOCKERFILE, DEVCONTAINER):
        assert "ot built where it was written" in text.split("FROM")[0].split("{")[0]


def test_nothing_that_was_built_here_gets_into_the_image() -> None:
    ignored = (ROOT / ".dockerignore").read_text().split()
    kept_out = (ROOT / ".gitignore").read_text()
    for folder in (".venv", ".venv-ros", "build", "install", "log", "out"):
        assert folder in ignored and f"/{folder}/" in kept_out
