"""How LIBERO policies see the robot's state, and how they act."""

from __future__ import annotations

import numpy as np

from vla_sae_ros.sim.environment import FloatArray, Observation

STATE_NAMES = (
    "x",
    "y",
    "z",
    "axis_angle_1",
    "axis_angle_2",
    "axis_angle_3",
    "finger_1",
    "finger_2",
)
"""Of the numbers of LIBERO's state, in their order."""

ACTION_NAMES = ("x", "y", "z", "roll", "pitch", "yaw", "gripper")
"""Of the numbers of LIBERO's action: a translation, a rotation, and the gripper, + closes."""

ROBOT_TYPE = "libero_panda"
"""In LIBERO's contract."""


def axis_angle(quaternion: FloatArray) -> FloatArray:
    """Return the rotation vector (3,) in rad of a unit quaternion (4,) xyzw.

    As robosuite defines it: the angle runs from 0 to 2 pi and is not wrapped, so that a hand
    that points down (half a turn) does not jump between +pi and -pi.
    """
    cosine = float(np.clip(quaternion[3], -1.0, 1.0))
    sine = float(np.sqrt(1.0 - cosine * cosine))
    if sine < 1e-9:
        return np.zeros(3)
    return np.asarray(quaternion[:3]) * (2.0 * np.arccos(cosine) / sine)


def libero_state(observation: Observation) -> FloatArray:
    """Return the state (8,): hand position m, rotation vector rad, finger displacements m."""
    return np.concatenate(
        [observation.ee_position, axis_angle(observation.ee_quaternion), observation.gripper_qpos]
    )
