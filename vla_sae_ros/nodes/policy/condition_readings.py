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
from vla_sae_ros.sim.conventions import ROBOT_TYPE, STATE_NAMES

STATE_FEATURE = "observation.state"
_Z, *_FINGERS = (STATE_NAMES.index(name) for name in ("z", "finger_1", "finger_2"))
"""Of LIBERO's state, whose numbers are known."""


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
