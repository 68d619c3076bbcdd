from __future__ import annotations

import re
from pathlib import Path

import pytest

from vla_sae_ros import environment
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
