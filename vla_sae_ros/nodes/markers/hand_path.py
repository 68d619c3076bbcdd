"""The hand's path with the value of a feature at every point, and where a chunk would take it."""

from __future__ import annotations

from collections import deque

import numpy as np
import numpy.typing as npt

Points = npt.NDArray[np.float64]

# Cividis (Nunez, Anderton and Renslow, 2018), made for colour-vision deficiency: low to high.
_RAMP = np.array([[0, 34, 78], [66, 78, 108], [124, 123, 120], [188, 175, 111], [254, 232, 56]])
UNKNOWN = (0.6, 0.6, 0.6)


class HandPath:
    """The newest `length` positions of one episode, each with a feature's value or NaN."""

    def __init__(self, length: int) -> None:
        self._points: deque[tuple[float, float, float]] = deque(maxlen=length)
        self._values: deque[float] = deque(maxlen=length)

    def add(self, position: tuple[float, float, float], value: float) -> None:
        """Append a position [m] with the value [observed maxima] that was newest then."""
        self._points.append(position)
        self._values.append(value)

    def clear(self) -> None:
        """Forget the path, as between two episodes."""
        self._points.clear()
        self._values.clear()

    @property
    def points(self) -> list[tuple[float, float, float]]:
        """Return the positions [m], oldest first."""
        return list(self._points)

    def colours(self) -> list[tuple[float, float, float]]:
        """Return red, green, blue in [0, 1] per point: dark blue at 0, yellow from 1 on."""
        return [colour_of(value) for value in self._values]


def colour_of(value: float) -> tuple[float, float, float]:
    """Return the colour of a value in observed maxima; grey for NaN."""
    if np.isnan(value):
        return UNKNOWN
    place = float(np.clip(value, 0.0, 1.0)) * (len(_RAMP) - 1)
    red, green, blue = (
        float(np.interp(place, range(len(_RAMP)), channel)) / 255 for channel in _RAMP.T
    )
    return red, green, blue


def previewed(start: npt.ArrayLike, actions: npt.ArrayLike, metres_per_action: float) -> Points:
    """Return where the actions would take the hand, (H + 1, 3) [m] with the start.

    Args:
        start: (3,) position [m] at the chunk's observation.
        actions: (H, A) with the change of position in the first three, each in [-1, 1].
        metres_per_action: [m] the hand goes for an action of 1 in one control tick.
    """
    steps = np.clip(np.asarray(actions, np.float64)[:, :3], -1.0, 1.0) * metres_per_action
    origin = np.asarray(start, np.float64)[None]
    return np.concatenate([origin, origin + np.cumsum(steps, axis=0)])
