"""Whether the Panda hand, coming from above, has room between a target's neighbours."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from vla_sae_ros.sim.boxes import Placed
from vla_sae_ros.sim.environment import FloatArray


@dataclass(frozen=True)
class HandPart:
    """A rectangle seen from above, in the hand's frame, metres; taken from the collision shapes."""

    along: float
    """Of its centre, along the closing axis."""
    half_along: float
    half_across: float
    above_m: float
    """Of its lower side, over the grasp point."""


HAND = (
    HandPart(0.0, 0.104, 0.032, 0.031),
    HandPart(0.052, 0.014, 0.011, -0.009),
    HandPart(-0.052, 0.014, 0.011, -0.009),
)
"""The palm and the two open fingers."""


def overlap(point: FloatArray, yaw: float, neighbours: Iterable[Placed]) -> float:
    """Return how far the hand's parts reach into the neighbours at a grasp point (3,), metres.

    Neighbours count as discs of their own area, those below a part not at all.
    """
    total = 0.0
    closing = np.array([np.sin(yaw), -np.cos(yaw)])
    for neighbour in neighbours:
        (_, first), (_, second) = neighbour.sides
        radius = 2.0 * np.sqrt(first * second / np.pi)
        away = neighbour.centre[:2] - point[:2]
        along, across = float(away @ closing), float(away @ np.array([-closing[1], closing[0]]))
        for part in HAND:
            if neighbour.top > point[2] + part.above_m:
                beside = max(abs(along - part.along) - part.half_along, 0.0)
                ahead = max(abs(across) - part.half_across, 0.0)
                total += max(radius - float(np.hypot(beside, ahead)), 0.0)
    return total
