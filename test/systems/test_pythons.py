"""Which Python is chosen for a node."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.resources import made_environment
from vla_sae_ros.systems import pythons


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An environment as `make ros` leaves it, and nothing else."""
    python = tmp_path / ".venv-ros" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    monkeypatch.setattr(pythons, "made_environment", lambda: made_environment(tmp_path))
    return python


def test_the_variable_comes_first_then_the_active_environment_then_the_made_one(
    made: Path, tmp_path: Path
) -> None:
    active = tmp_path / "active"
    (active / "bin").mkdir(parents=True)
    (active / "bin" / "python").symlink_to(sys.executable)
    both = {"VIRTUAL_ENV": str(active), pythons.VARIABLE: sys.executable}
    assert pythons.policy_python(both) == sys.executable
    assert pythons.policy_python({"VIRTUAL_ENV": str(active)}) == str(active / "bin" / "python")
    assert pythons.policy_python({"VIRTUAL_ENV": str(tmp_path / "gone")}) == str(made)
    assert pythons.policy_python({}) == str(made)


def test_without_any_it_is_this_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pythons, "made_environment", lambda: made_environment(tmp_path))
    assert pythons.policy_python({}) == sys.executable


@pytest.mark.parametrize("wrong", ["/nowhere/python", "/"])
def test_a_variable_that_names_no_program_is_refused(wrong: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{pythons.VARIABLE}.*{wrong}.*interpreter"):
        pythons.policy_python({pythons.VARIABLE: wrong})


def test_an_installed_package_finds_the_environment_beside_its_sources(tmp_path: Path) -> None:
    source, share = tmp_path / "src", tmp_path / "share"
    (source / ".venv-ros" / "bin").mkdir(parents=True)
    share.mkdir()
    (share / "source_folder").write_text(f"{source}\n")
    assert made_environment(share) is None, "no interpreter in it"
    (source / ".venv-ros" / "bin" / "python").touch()
    assert made_environment(share) == source / ".venv-ros"


def test_a_script_goes_on_in_the_chosen_interpreter_with_its_arguments(tmp_path: Path) -> None:
    other = tmp_path / "python"
    other.write_text('#!/bin/sh\necho "other $@"\n')
    other.chmod(0o755)
    script = tmp_path / "node"
    script.write_text(
        "from vla_sae_ros.systems.pythons import enter_environment\n"
        "enter_environment()\nprint('never here')\n"
    )
    done = subprocess.run(
        [sys.executable, script, "--ros-args", "-r", "a:=b c"],
        env={"PATH": "/usr/bin:/bin", pythons.VARIABLE: str(other)},
        capture_output=True,
        text=True,
    )
    assert done.stdout == f"other {script} --ros-args -r a:=b c\n", done.stderr
