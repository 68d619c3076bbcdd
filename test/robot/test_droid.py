"""DROID's action semantics, with the numbers of its published code.

github.com/droid-dataset/droid: robot_ik_solver.py relative_max_joint_delta = 0.2 for all joints,
control_hz = 15, max_lin_delta = 0.075; robot_env.py reset_joints = [0, -1/5 pi, 0, -4/5 pi, 0,
3/5 pi, 0]; franka/robot.py: gripper 0 = open, the delta is added to the measured joints.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

from vla_sae_ros.robot import droid
from vla_sae_ros.robot.action_space import JointTargets

Q = np.array([0.1, -0.6, 0.2, -2.4, 0.0, 1.8, 0.3])
SPACE = droid.DroidActions()


@pytest.mark.parametrize(
    ("velocity", "delta"),
    [
        ([1, 0, 0, 0, 0, 0, 0], [0.2, 0, 0, 0, 0, 0, 0]),
        ([0.5, -1, 0, 0, 0, 0, 0.25], [0.1, -0.2, 0, 0, 0, 0, 0.05]),
        ([2, -1, 0, 0, 0, 0, 0.5], [0.2, -0.1, 0, 0, 0, 0, 0.05]),
        ([0, 0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 0]),
    ],
)
def test_a_velocity_of_one_leads_the_measured_joint_by_a_fifth_of_a_radian(
    velocity: list[float], delta: list[float]
) -> None:
    target = SPACE.target(np.array([*velocity, 0.0], float), Q)
    np.testing.assert_allclose(target.q, Q + delta, atol=1e-12)


@pytest.mark.parametrize(
    ("gripper", "closing"), [(0.0, 0), (0.5, 0), (0.51, 1), (1.0, 1), (-0.2, 0)]
)
def test_the_gripper_closes_above_one_half(gripper: float, closing: float) -> None:
    assert SPACE.target(np.array([0.0] * 7 + [gripper]), Q).closing == closing


def test_rate_and_reset_pose_are_droid_s() -> None:
    pi = math.pi
    assert droid.CONTROL_RATE == 15
    assert droid.MAX_LINEAR_DELTA == 0.075
    np.testing.assert_allclose(droid.RESET_POSE, [0, -pi / 5, 0, -4 * pi / 5, 0, 3 * pi / 5, 0])


def test_nonsense_is_named() -> None:
    assert SPACE.outside(np.array([0.0] * 7 + [1.0])) == ""
    assert SPACE.outside(np.array([0, 2.9, 0, 0, 0, 0, 0, 1.0])) == ""
    assert "number 1 " in SPACE.outside(np.array([0, -3.1, 0, 0, 0, 0, 0, 1.0]))


def test_joint_targets_are_taken_as_they_are_and_refused_beyond_the_range() -> None:
    space = JointTargets(np.full(3, -1.0), np.full(3, 2.0))
    target = space.target(np.array([0.1, 0.2, 0.3, 1.7]), np.zeros(3))
    np.testing.assert_array_equal(target.q, [0.1, 0.2, 0.3])
    assert (space.size, target.closing) == (4, 1.0)
    assert "joint 2" in space.outside(np.array([0.1, -1.2, 0.3, 0.0]))
    bare = JointTargets(np.full(3, -1.0), np.full(3, 2.0), gripper=False)
    assert bare.size == 3 and math.isnan(bare.target(np.zeros(3), np.zeros(3)).closing)
