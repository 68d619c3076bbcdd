"""Which Python is chosen for a node."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
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


NODE = "vla_sae_ros.nodes.policy.policy_node"


def written(path: Path, text: str) -> str:
    """Write a program; return its path."""
    path.write_text(text)
    path.chmod(0o755)
    return str(path)


def test_a_python_that_imports_the_node_may_run_it_under_its_own_path(tmp_path: Path) -> None:
    other = written(tmp_path / "python", f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    assert pythons.python_of_node(other, NODE) == other, "a venv's link must not be followed"


@pytest.mark.parametrize(
    "text",
    ["#!/bin/sh\necho hello\n", "#!/bin/sh\nexit 0\n", "#!/nowhere/python\n", "no program"],
    ids=["prints", "silent", "without interpreter", "text"],
)
def test_a_program_that_is_no_python_is_refused(text: str, tmp_path: Path) -> None:
    wrong = written(tmp_path / "python", text)
    with pytest.raises(ConfigurationError, match=f"'policy_python'.*{wrong}.*interpreter"):
        pythons.python_of_node(wrong, NODE)


@pytest.mark.parametrize("wrong", ["/nowhere/python", "/"])
def test_a_python_that_is_not_there_is_refused(wrong: str) -> None:
    with pytest.raises(ConfigurationError, match=f"'policy_python'.*{wrong}.*interpreter"):
        pythons.python_of_node(wrong, NODE)


def test_a_python_without_the_package_is_refused_with_the_command_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    venv.create(tmp_path / "bare", with_pip=False)
    monkeypatch.chdir(tmp_path)  # in a checkout the package would be found
    monkeypatch.delenv("PYTHONPATH", raising=False)
    python = str(tmp_path / "bare" / "bin" / "python")
    with pytest.raises(ConfigurationError) as refused:
        pythons.python_of_node(python, NODE)
    assert "No module named 'vla_sae_ros'" in str(refused.value)
    assert f"uv pip install -p {python} " in str(refused.value)


def test_a_python_of_another_version_is_told_to_be_made_anew_as_ros_has_no_modules_for_it(
    tmp_path: Path,
) -> None:
    older = written(tmp_path / "python", "#!/bin/sh\necho Python 3.9.2\necho no ROS >&2\nexit 1\n")
    with pytest.raises(ConfigurationError) as refused:
        pythons.python_of_node(older, NODE)
    own = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert f"Python 3.9.2 cannot import {NODE}: no ROS." in str(refused.value)
    assert f"uv venv -p {own} .venv-policy" in str(refused.value)
    assert f"-p {older} " not in str(refused.value), "ROS's wheels do not fit there"


def test_a_python_with_another_version_of_the_package_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pythons, "software_version", lambda: "99.1.0")
    with pytest.raises(ConfigurationError, match=r"vla_sae_ros 0.*vla_sae_ros 99\.1\.0, as here"):
        pythons.python_of_node(sys.executable, "vla_sae_ros")


def test_a_python_that_never_ends_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pythons, "IMPORT_LIMIT", 0.01)
    endless = written(tmp_path / "python", "#!/bin/sh\nexec sleep 600\n")
    with pytest.raises(ConfigurationError, match=r"'policy_python'.*within"):
        pythons.python_of_node(endless, NODE)


def test_another_python_gets_a_sourced_ros_and_not_the_wheels_of_this_one() -> None:
    sourced = {"AMENT_PREFIX_PATH": "/opt/ros/jazzy", "HOME": "/home"}
    assert pythons.environment_of_another(sourced) == sourced
    wheels = {"AMENT_PREFIX_PATH": sys.prefix, "HOME": "/home"}
    assert pythons.environment_of_another(wheels) == {"HOME": "/home"}
    assert os.environ["AMENT_PREFIX_PATH"] == sys.prefix, "as prepare() sets it here"


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
