"""The package as build tools see it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCK = (ROOT / "requirements.lock").read_text()
PINS = dict(re.findall(r"^([a-z0-9._-]+)==([^ ]+)", LOCK, re.MULTILINE))


def wanted() -> list[str]:
    extras = PROJECT["project"]["optional-dependencies"]
    return [
        *PROJECT["build-system"]["requires"],
        *PROJECT["project"]["dependencies"],
        *(requirement for extra in extras.values() for requirement in extra),
        *PROJECT["dependency-groups"]["dev"],
    ]


@pytest.mark.parametrize("requirement", wanted())
def test_every_requirement_is_in_the_lock(requirement: str) -> None:
    match = re.fullmatch(r"([\w.-]+)(\[[\w,]+\])?(.*)", requirement)
    assert match is not None
    name, pinned = match[1].lower().replace("_", "-"), match[3]
    assert name in PINS, "make lock"
    if pinned.startswith("=="):
        assert PINS[name] == pinned.removeprefix("=="), "make lock"


def test_every_pin_has_a_hash_and_nothing_names_a_host_or_a_folder() -> None:
    assert len(
        re.findall(r"^[a-z0-9._-]+==[^ ]+ \\\n    --hash=sha256:[0-9a-f]{64}", LOCK, re.MULTILINE)
    ) == len(PINS)
    assert not re.search(r"https?:|file:|--index|--find-links|(^|\s)/", LOCK)


def test_package_xml_and_pyproject_have_one_version() -> None:
    package = ElementTree.parse(ROOT / "package.xml").getroot()
    assert package.findtext("version") == PROJECT["project"]["version"]
    assert package.findtext("name") == PROJECT["project"]["name"]


def test_every_message_package_that_a_definition_names_is_a_dependency() -> None:
    package = ElementTree.parse(ROOT / "package.xml").getroot()
    depended = {element.text for element in package.iter("depend")}
    cmake = (ROOT / "CMakeLists.txt").read_text()
    for path in [*ROOT.glob("msg/*"), *ROOT.glob("srv/*"), *ROOT.glob("action/*")]:
        for name in re.findall(r"^(\w+)/\w+", path.read_text(), re.MULTILINE):
            assert name in depended, f"{path.name} needs {name} in package.xml"
            assert f"find_package({name} REQUIRED)" in cmake


def test_every_message_package_that_a_module_imports_is_a_dependency() -> None:
    package = ElementTree.parse(ROOT / "package.xml").getroot()
    depended = {each.text for kind in ("depend", "exec_depend") for each in package.iter(kind)}
    imported = re.compile(r"^\s*from (\w+_(?:msgs|srvs))\.", re.MULTILINE)
    for path in (ROOT / "vla_sae_ros").rglob("*.py"):
        for name in imported.findall(path.read_text()):
            assert name in depended, f"{path.name} needs {name} in package.xml"


def copy_sources(target: Path) -> None:
    """Copy what colcon needs, with a few of the definitions: `make setup` has built them all."""
    for folder in ("vla_sae_ros", "launch", "config", "scripts"):
        shutil.copytree(
            ROOT / folder, target / folder, ignore=shutil.ignore_patterns("__pycache__")
        )
    files = [
        "CMakeLists.txt",
        "package.xml",
        "plugin.xml",
        "setup.py",
        "pyproject.toml",
        "msg/ActionChunk.msg",
        "msg/EpisodeState.msg",
        "action/RunEpisode.action",
    ]
    for file in files:
        (target / file).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / file, target / file)


def colcon(workspace: Path, *options: str) -> None:
    tools = Path(sys.executable).parent
    environment = {
        "PATH": f"{tools}:/usr/bin:/bin",
        "HOME": str(workspace),
        "AMENT_PREFIX_PATH": sys.prefix,
        "CMAKE_PREFIX_PATH": sys.prefix,
        "ROS_DISTRO": "jazzy",
        "ROS_VERSION": "2",
        "CMAKE_GENERATOR": "Ninja",
    }
    command = [
        tools / "colcon",
        "build",
        *options,
        "--event-handlers",
        "console_cohesion+",
        "--cmake-args",
        f"-DPython3_EXECUTABLE={sys.executable}",
        "-DBUILD_TESTING=OFF",
    ]
    done = subprocess.run(
        command, cwd=workspace, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{done.stdout[-4000:]}\n{done.stderr[-4000:]}"


def check_installed(prefix: Path) -> None:
    """The installed tree has modules, messages, executables and files, and finds its own."""
    assert (prefix / "lib" / "vla_sae_ros" / "policy_node").stat().st_mode & 0o111
    share = prefix / "share" / "vla_sae_ros"
    for file in ("launch/sim.launch.py", "config/contracts/libero.yaml", "plugin.xml"):
        assert (share / file).is_file()
    library = next(prefix.glob("l*/**/*-packages"))
    program = f"""
import os, sys
sys.path = [path for path in sys.path if path != {str(ROOT)!r}]
sys.path.insert(0, {str(library)!r})
import vla_sae_ros
from vla_sae_ros.msg import ActionChunk
from vla_sae_ros.action import RunEpisode
from vla_sae_ros.resources import share_folder
from vla_sae_ros.systems.simulation import SIMULATION_ARGUMENTS
ActionChunk.__class__.__import_type_support__()
assert ActionChunk.__class__._TYPE_SUPPORT is not None
print(os.path.dirname(vla_sae_ros.__file__), share_folder())
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=prefix, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [str(library / "vla_sae_ros"), str(share)]


@pytest.mark.slow
@pytest.mark.parametrize("options", [(), ("--symlink-install",)], ids=["plain", "symlink"])
def test_colcon_builds_and_installs(tmp_path: Path, options: tuple[str, ...]) -> None:
    copy_sources(tmp_path / "src" / "vla_sae_ros")
    colcon(tmp_path, *options)
    installed = tmp_path / "install" / "vla_sae_ros"
    check_installed(installed)
    module = next(installed.glob("l*/**/vla_sae_ros/systems/simulation.py"))
    assert module.is_symlink() == bool(options)
