"""What a state's numbers are is read from their names, and from nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from vla_sae_ros.activations.format import StepRecord
from vla_sae_ros.study.features.state_layout import state_layout
from vla_sae_ros.study.features.state_variables import state_variables

DROID = (*(f"joint_{number}" for number in range(7)), "gripper")
LIBERO = ("x", "y", "z", "axis_angle1", "axis_angle2", "axis_angle3", "gripper", "gripper")


def variables(names, state, count: int = 3):
    steps = [StepRecord("a", 5 * n, state=tuple(np.asarray(state) + n)) for n in range(count)]
    return {one.name: one for one in state_variables(steps, np.zeros(count, int), 10.0, names)}


def test_joints_are_joints_under_their_own_names() -> None:
    found = variables(DROID, range(8))
    assert not {"end-effector height", "gripper opening", "end-effector speed"} & found.keys()
    np.testing.assert_array_equal(found["joint_2"].values, [2, 3, 4])
    assert found["gripper"].high == "gripper high"


def test_a_hand_and_two_fingers_are_known_by_lerobots_names_of_liberos_state() -> None:
    found = variables(LIBERO, [0, 0, 1, 9, 9, 9, 0.04, -0.04])
    np.testing.assert_array_equal(found["end-effector height"].values, [1, 2, 3])
    assert found["end-effector speed"].values[1] == pytest.approx(np.sqrt(3) / 0.5)
    assert found["gripper opening"].values[0] == pytest.approx(0.08)
    assert "axis_angle2" in found and "x" not in found


@pytest.mark.parametrize(
    "names",
    [
        ("x", "y", "z", "qx", "qy", "qz", "qw", "gripper"),  # a pose of Open X-Embodiment
        ("eef_pos_x", "eef_pos_y", "eef_pos_z", "eef_rot_x", "eef_rot_y", "eef_rot_z", "g", "h"),
        ("ee.x", "ee.y", "ee.z", "ee.wx", "ee.wy", "ee.wz", "ee.gripper", "torque"),
    ],
)
def test_a_rotation_is_no_position_and_one_gripper_no_pair_of_fingers(names) -> None:
    layout = state_layout(names)
    assert (layout.hand, layout.fingers) == ((0, 1, 2), ())


@pytest.mark.parametrize(
    "names",
    [
        ("left_x", "left_y", "left_z", "right_x", "right_y", "right_z"),
        ("left_pos_x", "left_pos_y", "left_pos_z", "right_pos_x", "right_pos_y", "right_pos_z"),
        ("left_gripper", "right_gripper"),
    ],
)
def test_two_arms_are_not_one_hand(names) -> None:
    layout = state_layout(names)
    assert (layout.hand, layout.fingers) == ((), ())


@pytest.mark.parametrize(
    "fingers",
    [
        ("finger_1", "finger_2"),
        ("gripper_0", "gripper_1"),
        ("panda_finger_joint1", "panda_finger_joint2"),
    ],
)
def test_fingers_may_count_both_upwards_or_away_from_each_other(fingers) -> None:
    layout = state_layout(fingers)
    states = np.array([[0.04, 0.04], [0.04, -0.04], [0.0, 0.0]])
    np.testing.assert_allclose(layout.opening(states), [0.08, 0.08, 0.0])


def test_a_state_of_another_length_than_its_names_says_nothing() -> None:
    assert list(variables(DROID, range(7))) == ["episode progress"]


def test_a_name_that_comes_twice_is_told_apart() -> None:
    assert {"torque [0]", "torque [1]"} < variables(("torque", "torque"), [1, 2]).keys()
