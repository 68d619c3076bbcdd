"""How LIBERO policies see the robot's state, how they act, and what conditions read of it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from vla_sae_ros.core.contract import Contract
from vla_sae_ros.core.steering.condition import (
    FEATURE,
    GRIPPER,
    HEIGHT,
    STATE,
    STEP,
    ReadingKey,
    Readings,
)
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


STATE_FEATURE = "observation.state"
_Z, *_FINGERS = (STATE_NAMES.index(name) for name in ("z", "finger_1", "finger_2"))
"""Of LIBERO's state, whose numbers are known."""


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


def known_readings(contract: Contract) -> frozenset[str]:
    """Return the kinds of readings that a policy's observations of this contract give."""
    kinds = {FEATURE, STEP}
    if STATE_FEATURE in contract.offered:
        kinds.add(STATE)
        if contract.robot_type == ROBOT_TYPE:
            kinds |= {HEIGHT, GRIPPER}
    return frozenset(kinds)


def observation_readings(
    frame: Mapping[str, np.ndarray], step: int, kinds: frozenset[str]
) -> Readings:
    """Return the readings of one observation; height and gripper of LIBERO's state only."""
    found: dict[ReadingKey, float] = {(STEP, "", 0): float(step)}
    state = frame.get(STATE_FEATURE)
    if state is None or STATE not in kinds:
        return found
    found |= {(STATE, "", number): float(value) for number, value in enumerate(state)}
    if HEIGHT in kinds and len(state) == len(STATE_NAMES):
        found[HEIGHT, "", 0] = float(state[_Z])
        found[GRIPPER, "", 0] = float(abs(np.subtract(*state[_FINGERS])))
    return found
