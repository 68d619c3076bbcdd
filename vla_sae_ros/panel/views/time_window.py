"""The stretch of observation time that a plot shows. No Qt."""

from __future__ import annotations

import math

SHORTEST, LONGEST = 1.0, 60.0
"""[s] of the smallest and the largest stretch."""


class TimeWindow:
    """Follows the newest observation until it is held, moved or zoomed."""

    def __init__(self, span: float = 10.0) -> None:
        """Show the last `span` seconds."""
        self.span = span
        self._right: float | None = None

    @property
    def held(self) -> bool:
        """The window stands still."""
        return self._right is not None

    def edges(self, newest: float) -> tuple[float, float]:
        """Return (left, right) [s] when the newest observation is of time `newest`."""
        right = newest if self._right is None else self._right
        return right - self.span, right

    def hold(self, newest: float) -> None:
        """Stand still where the window is."""
        self._right = self.edges(newest)[1]

    def follow(self) -> None:
        """Show the newest again."""
        self._right = None

    def move(self, seconds: float, newest: float) -> None:
        """Hold, and look `seconds` later; never beyond the newest."""
        self._right = min(self.edges(newest)[1] + seconds, newest)

    def zoom(self, factor: float, share: float, newest: float) -> None:
        """Show `factor` times the stretch; what lies at `share` (0 left, 1 right) stays there.

        A window that follows goes on following: its right edge stays.
        """
        left, right = self.edges(newest)
        fresh = min(max(self.span * factor, SHORTEST), LONGEST)
        if self.held:
            at = left + share * (right - left)
            self._right = min(at + (1 - share) * fresh, newest)
        self.span = fresh


def tick_step(span: float, most: int) -> float:
    """Return the smallest of 0.1, 0.2, 0.5, 1, 2, 5, ... [s] that gives at most `most` ticks."""
    return max(nice_step(span, most), 0.1)


def nice_step(span: float, most: int) -> float:
    """Return the smallest of ..., 0.1, 0.2, 0.5, 1, 2, 5, ... that fits `span`, above 0, at most
    `most` times."""
    power = 10.0 ** math.floor(math.log10(span / most))
    fitting = [power * factor for factor in (1, 2, 5) if span / (power * factor) <= most]
    return fitting[0] if fitting else 10 * power
