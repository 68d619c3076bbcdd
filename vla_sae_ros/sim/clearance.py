"""Whether the Panda hand, coming from above, has room between a target's neighbours."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vla_sae_ros.sim.boxes import Placed
from vla_sae_ros.sim.environment import FloatArray

HAND = np.array(
    [
        [0.0, 0.104, 0.032, 0.031],
        [0.052, 0.014, 0.011, -0.009],
        [-0.052, 0.014, 0.011, -0.009],
    ]
)
"""The palm and the two open fingers as rectangles seen from above, taken from the collision
shapes, metres: the centre along the closing axis, half the length along it and across it, and how
far the lower side is over the grasp point."""


def overlap(
    points: FloatArray, yaws: FloatArray | float, neighbours: Sequence[Placed]
) -> FloatArray:
    """Return how far the hand's parts reach into the neighbours at each grasp, metres (...).

    points (..., 3) m, yaws (...) rad. Neighbours count as discs of their own area, those below a
    part not at all.
    """
    discs = np.array([[*near.centre[:2], near.top, near.radius] for near in neighbours])
    discs = discs.reshape(-1, 4)
    away = discs[:, :2] - points[..., None, :2]
    sine, cosine = np.sin(yaws)[..., None], np.cos(yaws)[..., None]
    along = (away[..., 0] * sine - away[..., 1] * cosine)[..., None]
    across = (away[..., 0] * cosine + away[..., 1] * sine)[..., None]
    beside = np.maximum(np.abs(along - HAND[:, 0]) - HAND[:, 1], 0.0)
    ahead = np.maximum(np.abs(across) - HAND[:, 2], 0.0)
    reach = np.maximum(discs[:, 3, None] - np.hypot(beside, ahead), 0.0)
    is_taller = discs[:, 2, None] > points[..., None, 2, None] + HAND[:, 3]
    return np.asarray(np.where(is_taller, reach, 0.0).sum(axis=(-2, -1)))
