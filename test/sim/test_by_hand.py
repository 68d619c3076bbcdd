"""A person's twist as LIBERO's action."""

from __future__ import annotations

import math

import numpy as np
import pytest

from vla_sae_ros.sim.by_hand import SPEED, TURN, osc_action


def test_a_twist_at_the_controller_s_speed_is_an_action_of_one() -> None:
    for axis in range(6):
        twist = np.zeros(6)
        twist[axis] = SPEED if axis < 3 else TURN
        np.testing.assert_allclose(osc_action(twist, math.nan, -1.0)[:6], np.eye(6)[axis])


def test_what_is_too_fast_keeps_its_direction() -> None:
    twist = np.array([4 * SPEED, 2 * SPEED, 0, 0, 0, 0])
    np.testing.assert_allclose(osc_action(twist, 0.0, 1.0)[:6], [1, 0.5, 0, 0, 0, 0])


@pytest.mark.parametrize(("closing", "action"), [(0.0, -1.0), (1.0, 1.0), (math.nan, 0.3)])
def test_the_gripper_is_asked_for_or_left(closing: float, action: float) -> None:
    assert osc_action(np.zeros(6), closing, 0.3)[6] == action
