"""A person's twist as an action of LIBERO's controller (OSC_POSE)."""

from __future__ import annotations

import math

import numpy as np

from vla_sae_ros.sim.environment import FloatArray

SPEED = 0.25
"""[m/s] that the hand reaches along an axis at a steady action of 1; measured in libero_object,
0.23 along x to 0.26 along y. The controller aims 0.05 m ahead and lags behind that."""
TURN = 2.2
"""[rad/s] about an axis at a steady action of 1; measured, at a quarter of it."""


def osc_action(twist: FloatArray, closing: float, gripper: float) -> FloatArray:
    """Return (7,): the change of pose, each in [-1, 1], and the gripper, -1 opens, +1 closes.

    What is faster than the controller can is slowed down, the direction kept.

    Args:
        twist: (6,) m/s and rad/s along and about the world's axes, which are the base's.
        closing: what the person asks of the gripper, 0 = open, 1 = closed; NaN: nothing.
        gripper: action of the gripper before, kept where nothing is asked.
    """
    pose = twist / np.repeat([SPEED, TURN], 3)
    pose = pose / max(1.0, float(np.abs(pose).max()))
    return np.append(pose, gripper if math.isnan(closing) else 2.0 * closing - 1.0)
