"""From the policy's action vector to what is sent on the contract's channels, and what is sent
when there is none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vla_sae_ros.core.contract.schema import Entry, Source
from vla_sae_ros.core.errors import ContractError, complaint
from vla_sae_ros.core.shapes import CommandVector

Vector = npt.NDArray[Any]


@dataclass(frozen=True)
class BoundedAction:
    """What goes out on the channels of an action entry, one after another."""

    values: CommandVector
    """(C,) float32 in the channels' units."""
    clipped: bool
    """A clamp changed a value."""
    asked: CommandVector
    """(C,) what it would have been without clamps."""


def bounded_action(entry: Entry, action: Vector) -> BoundedAction:
    """Take an action (A,) in the policy's units to the channels' units.

    The operators of each source are undone from the last to the first. Raises ContractError for
    an action of another length or with a number that is not finite.
    """
    if action.shape != (entry.width,) or not np.isfinite(action).all():
        raise ContractError(
            complaint(
                f"The action for '{entry.key}'", action.tolist(), f"{entry.width} finite numbers"
            )
        )
    bounded, asked = [], []
    for source, part in zip(entry.sources, _split(entry, action), strict=True):
        bounded.append(_to_channel(source, part))
        asked.append(_to_channel(source, part, clamps=False))
    values = np.concatenate(bounded).astype(np.float32)
    unbounded = np.concatenate(asked).astype(np.float32)
    return BoundedAction(values, not np.array_equal(values, unbounded), unbounded)


def safe_action(entry: Entry, last: Vector | None) -> CommandVector:
    """Return what to send while there is no valid action, (C,) float32 in the channels' units.

    A source with safety `hold` repeats its part of the last command and falls back to `zeros`
    before there was one; `zeros` is the policy's zero action in the channels' units; with `none`
    nothing should be sent, which a robot that must be given a command every tick takes as zeros.
    """
    parts, start = [], 0
    for source in entry.sources:
        width = source.channel_width
        if source.channel.safety == "hold" and last is not None:
            parts.append(last[start : start + width])
        else:
            parts.append(_to_channel(source, np.zeros(source.width)))
        start += width
    return np.concatenate(parts).astype(np.float32)


def _split(entry: Entry, action: Vector) -> list[Vector]:
    ends = np.cumsum([source.width for source in entry.sources])
    return np.split(action, ends[:-1])


def _to_channel(source: Source, values: Vector, clamps: bool = True) -> Vector:
    for operator in reversed(source.apply):
        if clamps or operator.name != "clamp":
            values = operator.inverse(values)
    return values
