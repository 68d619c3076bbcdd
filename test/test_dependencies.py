"""What is imported is declared, what is declared is used, and the page names it."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import sys
import tomllib
import xml.etree.ElementTree as ElementTree
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "vla_sae_ros"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
GROUPS = {**PROJECT["optional-dependencies"], "": PROJECT["dependencies"]}
DEVELOPMENT = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]["dev"]
ROS_INSTALL_ONLY = {"control_msgs", "qt_gui", "launch", "launch_ros", "rqt_gui_py"}
"""Imported where there is a ROS installation; package.xml declares them."""
BY_NAME = {
    "robosuite": "LIBERO's suites import it",
    "metaworld": "lerobot makes it from the name of an environment",
    "lerobot-env-so101": "lerobot makes it from the name of an environment",
    "tensorboard": "torch.utils.tensorboard imports it",
    "onnx": "torch.onnx.export imports it",
    "onnxscript": "torch.onnx.export imports it",
    "tokenizers": "transformers' tokenizers are read without it",
}
"""Declared packages that something else imports, and what."""


def names(requirements: list[str]) -> set[str]:
    return {re.match(r"[\w.-]+", text)[0].lower().replace("_", "-") for text in requirements}  # type: ignore[index]


def imports(folder: Path) -> dict[str, Path]:
    """Return the top-level name of everything that is imported -> a module that does."""
    found = {}
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0]: path for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found[node.module.split(".")[0]] = path
    foreign = found.keys() - sys.stdlib_module_names - {"vla_sae_ros", "_typeshed"}
    return {name: found[name] for name in sorted(foreign)}


@cache
def providers() -> dict[str, list[str]]:
    """Return import name -> distributions that install it; those of ROS by their names."""
    known = {
        name: [each.lower().replace("_", "-") for each in distributions]
        for name, distributions in importlib.metadata.packages_distributions().items()
    }
    there = {(d.metadata["Name"] or "").lower().replace("_", "-") for d in installed()}
    for name in [*known]:
        ros = f"ros-{name.replace('_', '-')}"
        if ros in there:
            known[name] = [ros]
    # Their metadata name other modules, or none.
    return known | {"pinocchio": ["pin"], "rerun": ["rerun-sdk"]}


@cache
def installed() -> tuple[importlib.metadata.Distribution, ...]:
    return tuple(importlib.metadata.distributions())


def test_every_import_of_the_package_is_declared() -> None:
    declared = set().union(*map(names, GROUPS.values()))
    undeclared = {
        f"{name} ({path.relative_to(ROOT)})"
        for name, path in imports(PACKAGE).items()
        if name not in ROS_INSTALL_ONLY and not declared & set(providers().get(name, [name]))
    }
    assert not undeclared


def test_what_only_a_ros_installation_has_is_declared_in_package_xml() -> None:
    package = ElementTree.parse(ROOT / "package.xml").getroot()
    depended = {each.text for kind in ("depend", "exec_depend") for each in package.iter(kind)}
    used = imports(PACKAGE).keys() | imports(ROOT / "launch").keys()
    assert used & ROS_INSTALL_ONLY <= depended
    wheels = {name for name in names(PROJECT["dependencies"]) if name.startswith("ros-")}
    ros = {name.removeprefix("ros-").replace("-", "_") for name in wheels}
    assert {name for name in used if name in ros} <= depended


@pytest.mark.parametrize("group", sorted(GROUPS))
def test_every_declared_package_is_used(group: str) -> None:
    used = {d for name in imports(PACKAGE) for d in providers().get(name, [name])}
    unused = names(GROUPS[group]) - used - BY_NAME.keys()
    assert not unused


def test_every_package_for_development_is_used() -> None:
    used = {d for name in imports(ROOT / "test") for d in providers().get(name, [name])}
    programs = "".join(
        (ROOT / name).read_text()
        for name in ("Makefile", "pyproject.toml", "test/test_package.py", "test/conftest.py")
    )
    for name in names(DEVELOPMENT) - used:
        word = {
            "mkdocs-material": "mkdocs",
            "types-pyyaml": "mypy",
            "colcon-common-extensions": "colcon",
            "pytest-xdist": "pytest -n",
            "pytest-timeout": "timeout = ",
        }.get(name, name)
        assert word in programs, name


def test_the_page_names_every_direct_dependency_and_no_other() -> None:
    text = (ROOT / "docs" / "dependencies.md").read_text()
    rows = re.findall(r"^\| ([^|]+) \|", text.split("## Direct dependencies")[1], re.MULTILINE)
    told = {name.strip().lower() for row in rows for name in row.split(",")}
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    direct = names([*build, *DEVELOPMENT, *(r for group in GROUPS.values() for r in group)])
    assert told - {"package", "---"} == direct
