"""What the numbers of a state are, by their names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vla_sae_ros.study.features.state_variable import StateVariable

_HAND = re.compile(r"(?:.*(?:eef|ee|tcp|hand|pos|position)[._]?)?([xyz])")
_FINGER = re.compile(r"(.*(?:gripper|finger).*?)[._]?\d*")


@dataclass(frozen=True)
class StateLayout:
    """Which columns of states (n, d) are what.

    hand: of x, y and z; empty where not all three are known. fingers: of the two; or empty.
    """

    names: tuple[str, ...]
    hand: tuple[int, ...]
    fingers: tuple[int, ...]

    def position(self, states: np.ndarray) -> np.ndarray:
        """Return the hand's position (n, 3), NaN where it is not known."""
        return states[:, self.hand] if self.hand else np.full((len(states), 3), np.nan)

    def opening(self, states: np.ndarray) -> np.ndarray:
        """Return the distance (n,) between the fingers, NaN where it is not known.

        Fingers count from where they meet, some both upwards and some away from each other.
        """
        if not self.fingers:
            return np.full(len(states), np.nan)
        opening: np.ndarray = np.abs(states[:, self.fingers]).sum(axis=1)
        return opening

    def others(self, states: np.ndarray) -> list[StateVariable]:
        """Return every other number under its own name."""
        return [
            StateVariable(name, "", states[:, number], f"{name} high", f"{name} low")
            for number, name in enumerate(self.names)
            if number not in (*self.hand, *self.fingers)
        ]


def state_layout(names: Sequence[str]) -> StateLayout:
    """Return what the names say, and nothing that they do not.

    A hand has exactly one x, one y and one z; the fingers are two of one gripper.
    """
    lower = [name.lower() for name in names]
    axes: dict[str, list[int]] = {axis: [] for axis in "xyz"}
    for number, name in enumerate(lower):
        if found := _HAND.fullmatch(name):
            axes[found.group(1)].append(number)
    hand = tuple(one[0] for one in axes.values() if len(one) == 1)
    grippers = {
        number: found[1] for number, name in enumerate(lower) if (found := _FINGER.fullmatch(name))
    }
    fingers = tuple(grippers) if len(grippers) == 2 and len(set(grippers.values())) == 1 else ()
    return StateLayout(_distinct(names), hand if len(hand) == 3 else (), fingers)


def _distinct(names: Sequence[str]) -> tuple[str, ...]:
    """Return the names, with their number where a name comes twice."""
    return tuple(
        name if list(names).count(name) == 1 else f"{name} [{number}]"
        for number, name in enumerate(names)
    )
