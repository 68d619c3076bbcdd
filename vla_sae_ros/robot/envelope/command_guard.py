"""Shape, NaN, range and age of a command, before anything is computed from it."""

from __future__ import annotations

import numpy as np

from vla_sae_ros.robot.action_space import ActionSpace
from vla_sae_ros.robot.command import ArmCommand
from vla_sae_ros.robot.reasons import Refused

_AHEAD = 0.001
"""[s] by which a stamp may seem to lie in the future."""

Refusal = tuple[Refused, str]
"""A refusal, and the same in words with the values."""


def refusal_of(
    command: ArmCommand, space: ActionSpace, oldest: float, now: float
) -> Refusal | None:
    """Return why this command must not be followed, or None.

    Args:
        oldest: [s] that a command may be old.
        now: [s] monotonic clock.
    """
    age = now - command.stamp
    if not -_AHEAD <= age <= oldest:
        return Refused.STALE, f"the command is {age:.3f} s old; allowed: 0 to {oldest:g} s"
    if command.values is None:
        return None
    values = np.asarray(command.values)
    if values.shape != (space.size,) or values.dtype.kind not in "fiu":
        got = f"{values.dtype} of shape {values.shape}"
        return Refused.SHAPE, f"the action is {got}; allowed: numbers of shape ({space.size},)"
    wrong = np.flatnonzero(~np.isfinite(values))
    if len(wrong):
        return Refused.NOT_FINITE, f"number {wrong[0]} of the action is {values[wrong[0]]}"
    outside = space.outside(values)
    return (Refused.RANGE, outside) if outside else None
