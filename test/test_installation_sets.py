"""A robot computer installs no PyTorch and a panel no lerobot: each set is built and tried."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from patience import WORK

from vla_sae_ros.environment import missing_variables

ROOT = Path(__file__).parents[1]
SETS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["vla_sae_ros"]["sets"]
HEAVY = {"torch", "lerobot", "transformers", "mujoco", "robosuite"}
SIZE_TOLERANCE = 0.2
WORKS = {
    "robot": "import vla_sae_ros.nodes.robot.robot_bridge_node, franky, onnxruntime\n"
    "import vla_sae_ros.nodes.recorder.recorder_node, vla_sae_ros.clients.steer\n"
    "import vla_sae_ros.policy.onnx.graph",
    "panel": "import vla_sae_ros.panel.app, vla_sae_ros.clients.steer, vla_sae_ros.clients.run",
}


def pins(lock: Path) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9._-]+)==([^ ]+)", lock.read_text(), re.MULTILINE))


@pytest.mark.parametrize("name", SETS)
def test_the_lock_of_a_set_is_a_part_of_the_lock_of_everything(name: str) -> None:
    lock = ROOT / "requirements" / f"{name}.lock"
    part, whole = pins(lock), pins(ROOT / "requirements.lock")
    assert part.items() <= whole.items(), "make lock"
    assert not re.search(r"https?:|file:|--index|--find-links", lock.read_text())
    assert lock.read_text().count("--hash=sha256:") >= len(part)
    has_ros = any(package.startswith("ros-") for package in part)
    assert has_ros == SETS[name]["ros"]
    if name != "ros":
        assert not HEAVY & part.keys()
    assert ("pyqt5" in part) == (name == "panel")
    assert not set(SETS[name].get("given", ())) & part.keys()


@pytest.fixture(params=WORKS)
def environment(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A set installed into an environment of its own; the generated messages are this one's."""
    name, folder = request.param, tmp_path / "venv"
    uv = shutil.which("uv") or str(ROOT / "build" / "uv" / "bin" / "uv")
    python = folder / "bin" / "python"
    lock = ROOT / "requirements" / f"{name}.lock"
    for command in (
        [uv, "venv", "--quiet", "--python", sys.executable, str(folder)],
        [uv, "pip", "sync", "--quiet", "--python", str(python), "--require-hashes", str(lock)],
    ):
        subprocess.run(command, check=True, timeout=WORK)
    yield name, folder
    shutil.rmtree(folder)


@pytest.mark.slow
def test_a_set_is_as_small_as_the_page_says_and_runs_what_it_is_for(
    environment: tuple[str, Path],
) -> None:
    name, folder = environment
    page = (ROOT / "docs" / "dependencies.md").read_text()
    told = re.search(rf"^\| {name} \|[^|]*\| (\d+) \| ([\d.]+) GB \|", page, re.MULTILINE)
    assert told is not None
    assert len(pins(ROOT / "requirements" / f"{name}.lock")) == int(told[1])
    gigabytes = sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file()) / 1e9
    assert gigabytes == pytest.approx(float(told[2]), rel=SIZE_TOLERANCE)

    site = folder / "lib" / "python3.12" / "site-packages"
    here = Path(sys.prefix)
    (site / "vla_sae_ros").symlink_to(here / "lib/python3.12/site-packages/vla_sae_ros")
    for library in here.glob("lib/libvla_sae_ros__*"):
        (folder / "lib" / library.name).symlink_to(library)
    program = f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{WORKS[name]}\n"
    program += f"assert not {HEAVY!r} & sys.modules.keys()"
    done = subprocess.run(
        [folder / "bin" / "python", "-c", program],
        env={"PATH": "/usr/bin:/bin", **missing_variables({}, folder)},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=WORK,
    )
    assert done.returncode == 0, done.stderr
