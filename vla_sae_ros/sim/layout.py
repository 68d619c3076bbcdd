"""Moving a scene's objects about, so that an evaluation tests vision and not memory."""

from __future__ import annotations

from itertools import product

import numpy as np

from vla_sae_ros.core.errors import ConfigurationError, SimulationError, complaint
from vla_sae_ros.sim.environment import FloatArray, Layout

MIN_GAP_M = 0.075
"""Least distance between the centres of two objects on the floor, in the horizontal plane."""
BASKET_GAP_M = 0.14
CROCKERY_GAP_M = 0.115
STACK_M = 0.04
"""Objects nearer than this to each other lie on each other, and are moved together."""
MAX_DRAWS = 200


def rearranged(
    positions: dict[str, FloatArray], layout: Layout, seed: int
) -> dict[str, FloatArray]:
    """Return the horizontal positions (2,) that the layout asks for, in metres.

    Shuffling permutes the places of all but the basket; exchanging swaps two; moving shifts every
    object, or stack of objects, by a uniform draw within +-move_objects_m in x and y, redrawn
    until no two touch. Raises ConfigurationError for an unknown object or a negative distance,
    SimulationError when no draw fits.
    """
    generator = np.random.default_rng(seed)
    placed = {name: np.array(position[:2]) for name, position in positions.items()}
    if layout.shuffle:
        names = [name for name in sorted(placed) if "basket" not in name]
        order = generator.permutation(len(names))
        placed |= {name: placed[names[other]] for name, other in zip(names, order, strict=True)}
    if layout.exchange is not None:
        first, second = layout.exchange
        for name in layout.exchange:
            if name not in placed:
                raise ConfigurationError(
                    complaint(
                        "Cannot exchange an object that is not in the scene",
                        name,
                        ", ".join(sorted(placed)),
                    )
                )
        placed[first], placed[second] = placed[second], placed[first]
    if layout.move_objects_m < 0 or not np.isfinite(layout.move_objects_m):
        raise ConfigurationError(
            complaint(
                "Objects cannot be moved by this distance",
                layout.move_objects_m,
                "metres, 0 or more",
            )
        )
    if layout.move_objects_m == 0:
        return placed
    stacks = _stacks(placed)
    for _ in range(MAX_DRAWS):
        moved: dict[str, FloatArray] = {}
        for stack in stacks:
            shift = generator.uniform(-layout.move_objects_m, layout.move_objects_m, 2)
            moved |= {name: placed[name] + shift for name in stack}
        if _apart(moved, stacks):
            return moved
    raise SimulationError(
        f"No free layout was found in {MAX_DRAWS} draws with objects moved by up to "
        f"{layout.move_objects_m} m; use a smaller distance or another init state."
    )


def _stacks(places: dict[str, FloatArray]) -> list[list[str]]:
    """Return the objects, those that lie on each other together: a bowl stays on its ramekin."""
    stacks: list[list[str]] = []
    for name, place in places.items():
        for stack in stacks:
            if np.linalg.norm(places[stack[0]] - place) < STACK_M:
                stack.append(name)
                break
        else:
            stacks.append([name])
    return stacks


def _apart(places: dict[str, FloatArray], stacks: list[list[str]]) -> bool:
    for index, stack in enumerate(stacks):
        for other in stacks[index + 1 :]:
            for first, second in product(stack, other):
                if np.linalg.norm(places[first] - places[second]) < _gap(first + second):
                    return False
    return True


def _gap(names: str) -> float:
    if "basket" in names:
        return BASKET_GAP_M
    return CROCKERY_GAP_M if "plate" in names or "bowl" in names else MIN_GAP_M
