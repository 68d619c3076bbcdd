"""The contracts of robots, against the names and numbers that openpi and DROID publish."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from vla_sae_ros.core.alignment import FrameIncomplete
from vla_sae_ros.core.contract import (
    FrameBuilder,
    bounded_action,
    load_contract,
    parse_contract,
    safe_action,
)
from vla_sae_ros.core.errors import ObservationError

CONTRACTS = Path(__file__).parents[3] / "config" / "contracts"
DROID_FILES = ("droid.yaml", "droid_compressed.yaml")
MS = 1_000_000
Q = [0.1, -0.6, 0.2, -2.5, 0.3, 1.9, 0.4]
CAMERAS = ("exterior_image_1_left", "exterior_image_2_left", "wrist_image_left")


def header(stamp_ns: int) -> SimpleNamespace:
    return SimpleNamespace(stamp=SimpleNamespace(sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9))


def joints(stamp_ns: int, **positions: float) -> SimpleNamespace:
    return SimpleNamespace(
        header=header(stamp_ns),
        name=list(positions),
        position=list(positions.values()),
        velocity=[],
        effort=[],
    )


def bgra(stamp_ns: int, value: int) -> SimpleNamespace:
    """What a ZED sends by default: 1280 x 720, blue first, a fourth channel."""
    pixels = np.full((720, 1280, 4), (value, 0, 0, 255), np.uint8)
    return SimpleNamespace(
        header=header(stamp_ns),
        height=720,
        width=1280,
        encoding="bgra8",
        step=1280 * 4,
        data=pixels.tobytes(),
    )


def jpeg(stamp_ns: int, value: int) -> SimpleNamespace:
    buffer = io.BytesIO()
    Image.new("RGB", (1280, 720), (0, 0, value)).save(buffer, "jpeg", quality=95)
    return SimpleNamespace(header=header(stamp_ns), format="jpeg", data=buffer.getvalue())


def filled(name: str, stamp_ns: int, cameras: tuple[str, ...] = CAMERAS) -> FrameBuilder:
    frames = FrameBuilder(load_contract(CONTRACTS / name))
    robot = {f"panda_joint{i + 1}": q for i, q in enumerate(Q)}
    frames.push("joint_states", joints(stamp_ns, **robot), stamp_ns)
    frames.push("gripper", joints(stamp_ns, gripper=0.75), stamp_ns)
    for value, camera in enumerate(cameras, 100):
        topic = f"observation/image/{camera}"
        if name == "droid.yaml":
            frames.push(topic, bgra(stamp_ns, value), stamp_ns)
        else:
            frames.push(f"{topic}/compressed", jpeg(stamp_ns, value), stamp_ns)
    return frames


@pytest.mark.parametrize("name", DROID_FILES)
def test_a_droid_frame_has_openpis_names_shapes_and_order(name):
    """openpi, src/openpi/policies/droid_policy.py: observation/<camera> (224, 224, 3) uint8, and a
    state of joint_position (7) followed by gripper_position (1)."""
    values = filled(name, 10**9).frame(10**9).values
    assert set(values) == {f"observation.images.{camera}" for camera in CAMERAS} | {
        "observation.state"
    }
    assert values["observation.state"] == pytest.approx([*Q, 0.75])
    assert values["observation.state"].dtype == np.float32
    for value, camera in enumerate(CAMERAS, 100):
        picture = values[f"observation.images.{camera}"]
        assert (picture.shape, picture.dtype) == ((224, 224, 3), np.uint8)
        assert picture[112, 112].astype(int) == pytest.approx([0, 0, value], abs=2), "RGB, not BGR"
        assert not picture[:49].any() and not picture[175:].any(), "padded, not stretched"


@pytest.mark.parametrize("name", DROID_FILES)
def test_droids_rate_and_actions_are_those_of_its_code(name):
    """droid/robot_env.py: control_hz 15, 8 numbers; openpi's examples/droid/main.py clips to
    [-1, 1]."""
    contract = load_contract(CONTRACTS / name)
    assert contract.fps == 15
    assert contract.action.width == 8
    bounded = bounded_action(contract.action, np.array([2.0, -3.0, 0.5, 0, 0, 0, -1, 1.5]))
    assert bounded.values == pytest.approx([1, -1, 0.5, 0, 0, 0, -1, 1])
    assert bounded.clipped


def test_without_an_action_a_droid_arm_stays_and_its_gripper_keeps_its_command():
    action = load_contract(CONTRACTS / "droid.yaml").action
    last = np.array([0.3] * 7 + [1.0], np.float32)
    assert safe_action(action, last).tolist() == [0.0] * 7 + [1.0]


def test_a_frozen_camera_makes_the_frame_stale_and_is_named():
    frames = filled("droid.yaml", 10**9)
    later = 10**9 + 300 * MS
    robot = {f"panda_joint{i + 1}": q for i, q in enumerate(Q)}
    frames.push("joint_states", joints(later, **robot), later)
    frames.push("gripper", joints(later, gripper=0.0), later)
    frames.push("observation/image/wrist_image_left", bgra(later, 1), later)
    with pytest.raises(FrameIncomplete) as raised:
        frames.frame(later)
    assert set(raised.value.stale) == {
        "observation.images.exterior_image_1_left",
        "observation.images.exterior_image_2_left",
    }


def test_a_camera_whose_clock_runs_ahead_is_not_believed():
    frames = filled("droid.yaml", 10**9, CAMERAS[:2])
    frames.push("observation/image/wrist_image_left", bgra(10**9 + 5000 * MS, 1), 10**9)
    with pytest.raises(FrameIncomplete) as raised:
        frames.frame(10**9)
    assert raised.value.missing == ("observation.images.wrist_image_left",)


def test_a_picture_that_cannot_be_decoded_is_refused_when_a_frame_is_made_of_it():
    frames = filled("droid_compressed.yaml", 10**9)
    broken = SimpleNamespace(header=header(10**9 + MS), format="jpeg", data=b"\xff\xd8 broken")
    frames.push("observation/image/wrist_image_left/compressed", broken, 0)
    with pytest.raises(ObservationError, match="wrist_image_left/compressed"):
        frames.frame(10**9 + 2 * MS)


def test_a_policy_without_the_second_camera_does_not_wait_for_it():
    contract = load_contract(CONTRACTS / "droid.yaml")
    wanted = {"observation.images.exterior_image_1_left", "observation.state"}
    frames = FrameBuilder(contract.observing(wanted))
    assert {channel.topic for channel in frames.channels} == {
        "observation/image/exterior_image_1_left",
        "joint_states",
        "gripper",
    }


def test_another_arms_degrees_reach_its_controller_in_radians_and_come_back():
    contract = load_contract(CONTRACTS / "six_axis.yaml")
    trajectory, gripper = contract.action.sources
    assert trajectory.channel.type == "trajectory_msgs/msg/JointTrajectory"
    assert gripper.channel.type == "std_msgs/msg/Float64"
    sent = bounded_action(contract.action, np.array([180.0, -90, 45, 0, 30, -175, 0.25]))
    assert sent.clipped, "beyond 175 degrees"
    assert sent.values == pytest.approx([*np.deg2rad([175.0, -90, 45, 0, 30, -175]), 0.25])


def test_the_last_point_of_a_trajectory_can_be_observed():
    arm = {"topic": "/plan", "type": "trajectory_msgs/msg/JointTrajectory"}
    hold = {"strategy": "hold", "timeline": "header"}
    frames = FrameBuilder(
        parse_contract(
            {
                "robot_type": "r",
                "fps": 10,
                "observations": {
                    "state": {
                        "channel": arm,
                        "align": hold,
                        "select": ["b", "velocity.a"],
                        "apply": ["deg2rad"],
                    }
                },
                "actions": {"action": {"channel": arm, "align": hold, "select": ["a"]}},
            }
        )
    )
    point = SimpleNamespace(positions=[1.0, 180.0], velocities=[90.0, 0.0], effort=[])
    plan = SimpleNamespace(header=header(5), joint_names=["a", "b"], points=[point])
    frames.push("/plan", plan, 5)
    assert frames.frame(5).values["state"] == pytest.approx([np.pi, np.pi / 2])
    with pytest.raises(ObservationError, match="has no points"):
        frames.push(
            "/plan", SimpleNamespace(header=header(6), joint_names=["a", "b"], points=[]), 6
        )
