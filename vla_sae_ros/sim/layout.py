"""Moving a scene's objects about, so that an evaluation tests vision and not memory."""

from __future__ import annotations

import numpy as np

from vla_sae_ros.core.errors import ConfigurationError, SimulationError, complaint
from vla_sae_ros.sim.environment import FloatArray, Layout

MIN_GAP_M = 0.075
"""Least distance between the centres of two objects on the floor, in the horizontal plane."""
BASKET_GAP_M = 0.14
MAX_DRAWS = 200


def rearranged(
    positions: dict[str, FloatArray], layout: Layout, seed: int
) -> dict[str, FloatArray]:
    """Return the horizontal positions (2,) that the layout asks for, in metres.

    Exchanging swaps two places; moving shifts every object by a uniform draw within
    +-move_objects_m in x and y, redrawn until no two touch. Raises ConfigurationError for an
    unknown object or a negative distance, SimulationError when no draw fits.
    """
    placed = {name: np.array(position[:2]) for name, position in positions.items()}
    if layout.exchange is not None:
        first, second = layout.exchange
        for name in layout.exchange:
            if name not in placed:
                raise ConfigurationError(
                    complaint("Cannot exchange an object that the scene lacks", name,
                              ", ".join(sorted(placed)))
                )
        placed[first], placed[second] = placed[second], placed[first]
    if layout.move_objects_m < 0 or not np.isfinite(layout.move_objects_m):
        raise ConfigurationError(
            complaint("Objects cannot be moved by this distance", layout.move_objects_m,
                      "metres, 0 or more")
        )
    if layout.move_objects_m == 0:
        return placed
    generator = np.random.default_rng(seed)
    for _ in range(MAX_DRAWS):
        moved = {
            name: place + generator.uniform(-layout.move_objects_m, layout.move_objects_m, 2)
            for name, place in placed.items()
        }
        if _apart(moved):
            return moved
    raise SimulationError(
        f"No free layout was found in {MAX_DRAWS} draws with objects moved by up to "
        f"{layout.move_objects_m} m; use a smaller distance or another init state."
    )


def _apart(places: dict[str, FloatArray]) -> bool:
    names = sorted(places)
    for index, first in enumerate(names):
        for second in names[index + 1 :]:
            gap = BASKET_GAP_M if "basket" in first + second else MIN_GAP_M
            if np.linalg.norm(places[first] - places[second]) < gap:
                return False
    return True
