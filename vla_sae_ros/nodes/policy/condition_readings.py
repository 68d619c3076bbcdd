"""What conditions of edits can read of an observation."""

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

STATE_FEATURE = "observation.state"
LIBERO_ROBOT = "libero_panda"
"""Whose state begins with the hand's position and ends with the two fingers'."""
_LIBERO_STATE = 8


def known_readings(contract: Contract) -> frozenset[str]:
    """Return the kinds of readings that a policy's observations of this contract give."""
    kinds = {FEATURE, STEP}
    if STATE_FEATURE in contract.offered:
        kinds.add(STATE)
        if contract.robot_type == LIBERO_ROBOT:
            kinds |= {HEIGHT, GRIPPER}
    return frozenset(kinds)


def observation_readings(
    frame: Mapping[str, np.ndarray], step: int, kinds: frozenset[str]
) -> Readings:
    """Return the readings of one observation.

    LIBERO's state: position [m] (3), axis-angle (3), two finger positions [m].
    """
    found: dict[ReadingKey, float] = {(STEP, "", 0): float(step)}
    state = frame.get(STATE_FEATURE)
    if state is None or STATE not in kinds:
        return found
    found |= {(STATE, "", number): float(value) for number, value in enumerate(state)}
    if HEIGHT in kinds and len(state) == _LIBERO_STATE:
        found[HEIGHT, "", 0] = float(state[2])
        found[GRIPPER, "", 0] = float(abs(state[6] - state[7]))
    return found
