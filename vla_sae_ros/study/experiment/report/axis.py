"""Axes with round numbers."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Axis:
    """From low to high, with round ticks between them."""

    low: float
    high: float
    ticks: tuple[float, ...]

    @classmethod
    def over(cls, values: Iterable[float], ticks: int = 5) -> Axis:
        """Return an axis over the finite values and 0, a little wider than they are."""
        known = [0.0, *(value for value in values if math.isfinite(value))]
        low, high = min(known), max(known)
        span = high - low or 1.0
        low, high = low - 0.06 * span * (low < 0), high + 0.06 * span
        step = _round_step((high - low) / ticks)
        first = math.ceil(low / step)
        count = math.floor(high / step) - first + 1
        return cls(low, high, tuple((first + i) * step for i in range(count)))

    def share(self, value: float) -> float:
        """Return where a value lies, 0 to 1; outside it is put on the edge."""
        return min(1.0, max(0.0, (value - self.low) / (self.high - self.low)))


def _round_step(step: float) -> float:
    power = 10.0 ** math.floor(math.log10(step))
    return next(power * one for one in (1, 2, 5, 10) if power * one >= step * 0.999)
