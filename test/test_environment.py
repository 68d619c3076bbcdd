from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from vla_sae_ros import environment
from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.environment import missing_variables
from vla_sae_ros.systems import pythons


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    (tmp_path / "share" / "ament_index").mkdir(parents=True)
    return tmp_path


def test_the_wheels_prefix_and_this_machine_only_are_set(wheels: Path) -> None:
    assert missing_variables({}, wheels) == {
        "AMENT_PREFIX_PATH": str(wheels),
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
        "MUJOCO_GL": "osmesa",
        "HF_HUB_OFFLINE": "1",
    }


def test_a_sourced_ros_install_keeps_its_prefix_and_its_network(wheels: Path) -> None:
    missing = missing_variables({"AMENT_PREFIX_PATH": "/opt/ros/jazzy"}, wheels)
    assert set(missing) == {"MUJOCO_GL", "HF_HUB_OFFLINE"}


def test_what_the_user_set_stays(wheels: Path) -> None:
    theirs = {"MUJOCO_GL": "egl", "ROS_AUTOMATIC_DISCOVERY_RANGE": "SUBNET"}
    assert not set(missing_variables(theirs, wheels)) & set(theirs)


def test_without_wheels_no_prefix_is_invented(tmp_path: Path) -> None:
    assert "AMENT_PREFIX_PATH" not in missing_variables({}, tmp_path)


def test_every_variable_that_the_package_reads_is_listed() -> None:
    reading = re.compile(r"environ(?:\[|\.get\(|\.setdefault\(|\.pop\()\"([A-Z_0-9]+)\"")
    package = Path(environment.__file__).parent
    read = {name for path in package.rglob("*.py") for name in reading.findall(path.read_text())}
    assert "ROS_DOMAIN_ID" in read
    assert read <= environment.VARIABLES.keys()
    assert {*environment.NETWORK, pythons.VARIABLE} <= environment.VARIABLES.keys()


@pytest.mark.parametrize(
    "words",
    [
        ("-m", "vla_sae_ros.cli", "steer", "list"),
        ("-m", "vla_sae_ros.cli", "up", "sim"),
        ("-m", "vla_sae_ros.cli", "panel"),
        ("-m", "vla_sae_ros.nodes.markers.markers_node"),
        ("-c", "from vla_sae_ros.nodes.base import running"),
    ],
    ids=" ".join,
)
def test_a_middleware_that_is_not_installed_is_told_in_a_sentence(words: tuple[str, ...]) -> None:
    """rclpy would end the process when it is imported, with rcl's own words."""
    done = subprocess.run(
        [sys.executable, *words],
        env=os.environ | {"RMW_IMPLEMENTATION": "rmw_of_nobody"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "RMW_IMPLEMENTATION: got 'rmw_of_nobody'; allowed: rmw_fastrtps_cpp" in line


def test_an_installed_middleware_is_taken_and_an_unknown_prefix_is_not_judged(
    wheels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RMW_IMPLEMENTATION", "rmw_cyclonedds_cpp")
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(wheels))
    environment.check_middleware()
    (wheels / environment.MIDDLEWARES).mkdir(parents=True)
    for name in ("rmw_implementation", "rmw_fastrtps_cpp"):
        (wheels / environment.MIDDLEWARES / name).touch()
    with pytest.raises(ConfigurationError, match=r"allowed: rmw_fastrtps_cpp\. Install"):
        environment.check_middleware()
    (wheels / environment.MIDDLEWARES / "rmw_cyclonedds_cpp").touch()
    environment.check_middleware()
