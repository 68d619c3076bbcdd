"""Positions of JointState messages as one table, also where devices share a topic."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Joint = str | int


def joints_of(message: Any) -> tuple[Joint, ...]:
    """Return what a message's positions belong to: joint names, or places where it has no names."""
    names = tuple(message.name)
    fitting = len(names) == len(message.position) == len(set(names))
    return names if fitting else tuple(range(len(message.position)))


def joint_columns(messages: Sequence[Any]) -> list[Joint]:
    """Return every joint that a topic's messages speak of.

    Those of the most frequent kind of message come first, in its order.
    """
    kinds = Counter(joints_of(message) for message in messages)
    ranked = sorted(kinds, key=lambda kind: -kinds[kind])
    return list(dict.fromkeys(joint for kind in ranked for joint in kind))


def joint_rows(
    keys: Sequence[Hashable], messages: Sequence[Any]
) -> tuple[list[Hashable], npt.NDArray[np.float64]]:
    """Return (the keys without repetition, (keys, joints) positions).

    Later messages of a key overwrite earlier ones, joint by joint; NaN where a key has no
    position of a joint.
    """
    columns = {joint: place for place, joint in enumerate(joint_columns(messages))}
    rows = {key: place for place, key in enumerate(dict.fromkeys(keys))}
    values = np.full((len(rows), len(columns)), np.nan)
    for key, message in zip(keys, messages, strict=True):
        places = [columns[joint] for joint in joints_of(message)]
        values[rows[key], places] = message.position
    return list(rows), values
