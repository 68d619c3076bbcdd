"""What a lab writes in config/robots, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.resources import resource
from vla_sae_ros.robot.limits import FR3, PANDA
from vla_sae_ros.robot.settings_file import load_robot


@pytest.fixture
def document() -> dict[str, Any]:
    return yaml.safe_load(resource("config", "robots", "panda.yaml").read_text())


IN_MM: list[dict[str, object]] = [
    {"centre": [0.0, 0.0, 60.0]},
    {"inertia": [1000.0, 1000.0, 500.0]},
]
IN_DEGREES: dict[str, object] = {
    "lower": [-170.0],
    "upper": [170.0],
    "velocity": [150.0],
    "acceleration": [500.0],
    "jerk": [5000.0],
}


def write(folder: Path, document: object) -> str:
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump(document))
    return str(path)


@pytest.mark.parametrize(("name", "maker"), [("panda", PANDA), ("fr3", FR3)])
def test_the_shipped_robots_are_slower_than_their_maker_allows(name: str, maker) -> None:
    settings = load_robot(name)
    assert settings.robot == name and settings.published is maker
    assert (settings.limits.velocity <= 0.5 * maker.velocity).all()
    assert (settings.limits.acceleration <= 0.4 * maker.acceleration).all()
    assert settings.rate == 15 and settings.watchdog == 0.15
    points = settings.place.kinematics.points(settings.reset_pose)
    assert settings.place.workspace.outside(points) < 0


def test_another_arm_brings_its_own_limits(tmp_path: Path, document: dict[str, Any]) -> None:
    document |= {
        "robot": "six",
        "kinematics": "none",
        "reset_pose": [0.0] * 6,
        "limits": {
            "lower": [-3.0] * 6,
            "upper": [3.0] * 6,
            "velocity": [2.0] * 6,
            "acceleration": [10.0] * 6,
            "jerk": [1000.0] * 6,
        },
    }
    for key in ("tool", "workspace", "max_ee_step"):
        del document[key]
    settings = load_robot(write(tmp_path, document))
    assert settings.place is None and settings.joints == 6
    np.testing.assert_allclose(settings.limits.velocity, 1.0)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"rate": 0}, "rate"),
        ({"watchdog": 0.08}, "one and a half ticks"),
        ({"watchdog": "soon"}, "watchdog"),
        ({"joint_margin": 1.6}, "joint_margin"),
        ({"joint_margin": 0.45, "reset_pose": [0, -1.5, 0, -2.5, 0, 1.9, 0]}, "reset_pose"),
        ({"reset_pose": [0.0] * 6}, "reset_pose"),
        ({"reset_pose": [0.0, float("nan"), 0, -2, 0, 2, 0]}, "reset_pose"),
        ({"limits": "ur5"}, "panda, fr3"),
        ({"limits": {"lower": [0.0], "upper": [0.0]}}, "limits.velocity"),
        ({"kinematics": "ur"}, "franka, none"),
        ({"scale": {"velocity": 2.0, "acceleration": 0.5, "jerk": 0.1}}, "scale.velocity"),
        ({"scale": {"velocity": 0.5}}, "scale.acceleration is missing"),
        ({"tool": [0, 0]}, "tool"),
        ({"tool": ["0", "0", "0.1"]}, "tool"),
        ({"tool": [True, 0, 0.1]}, "tool"),
        ({"rate": "15.0"}, "rate"),
        ({"rate": True}, "rate"),
        ({"max_ee_step": -0.1}, "max_ee_step"),
        ({"lease": 60}, "lease"),
        ({"spelled_wrong": 1}, "spelled_wrong"),
        ({"tool": [0.0, 0.0, 103.4]}, "from -1 to 1 m"),
        ({"limits": IN_DEGREES}, "from -100 to 100 rad"),
        ({"limits": IN_DEGREES | {"lower": [-3.0], "upper": [3.0]}}, "from -30 to 30 rad/s"),
        (
            {"limits": "fr3", "scale": {"velocity": 0.5, "acceleration": 0.9, "jerk": 0.1}},
            "closer to the end of its range",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused_by_its_key(
    tmp_path: Path, document: dict[str, Any], change: dict[str, Any], word: str
) -> None:
    with pytest.raises(ConfigurationError, match=r"mine\.yaml") as refusal:
        load_robot(write(tmp_path, document | change))
    assert word in str(refusal.value)


def test_a_box_turned_inside_out_is_refused(tmp_path: Path, document: dict[str, Any]) -> None:
    document["workspace"]["upper"] = [0.1, 0.6, 0.9]
    with pytest.raises(ConfigurationError, match=r"workspace\.upper"):
        load_robot(write(tmp_path, document))


def test_a_box_in_millimetres_guards_nothing_and_is_refused(
    tmp_path: Path, document: dict[str, Any]
) -> None:
    document["workspace"] |= {"lower": [-200, -600, -50], "upper": [850, 600, 900]}
    with pytest.raises(ConfigurationError, match=r"workspace\.lower.*from -5 to 5 m"):
        load_robot(write(tmp_path, document))


@pytest.mark.parametrize("name", ["ur5", "/nowhere/mine.yaml"])
def test_a_robot_that_is_not_there_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match=r"ur5|nowhere"):
        load_robot(name)


def test_a_file_that_is_no_mapping_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="mapping"):
        load_robot(write(tmp_path, ["panda"]))


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("rate: 15.0", r"line \d+.*rate.*each key once"),
        ("x: 010", r"line \d+.*010"),
        ("x: !!python/object:os.system {}", r"line \d+"),
        ("<<: {rate: 10.0}", r"line \d+.*<<"),
    ],
)
def test_what_readers_of_yaml_take_for_different_things_is_refused_by_line(
    tmp_path: Path, line: str, words: str
) -> None:
    path = tmp_path / "mine.yaml"
    text = resource("config", "robots", "panda.yaml").read_text()
    path.write_text(f"{text}\n{line}\n")
    with pytest.raises(ConfigurationError, match=words) as refusal:
        load_robot(str(path))
    assert "mine.yaml" in str(refusal.value)


def test_a_payload_is_read_and_a_wrong_one_refused(
    tmp_path: Path, document: dict[str, Any]
) -> None:
    payload = {"mass": 0.9, "centre": [0.0, 0.0, 0.06], "inertia": [0.001, 0.001, 0.0005]}
    settings = load_robot(write(tmp_path, document | {"payload": payload}))
    assert settings.payload is not None and settings.payload.mass == 0.9
    np.testing.assert_allclose(settings.payload.centre, [0.0, 0.0, 0.06])
    for change in ({"mass": -1.0}, {"centre": [0.0]}, {"inertia": [-1.0, 0.0, 0.0]}, *IN_MM):
        with pytest.raises(ConfigurationError, match=f"payload.{next(iter(change))}"):
            load_robot(write(tmp_path, document | {"payload": payload | change}))
