"""A controller of an edit's strength: keeps a reading at a value by PI control."""

from __future__ import annotations

import math
from dataclasses import dataclass

from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.core.steering.condition import ReadingKey, Readings, check_reading, reading_key


@dataclass(frozen=True, kw_only=True)
class Control:
    """What sets an edit's strength v: v = value + kp e + ki (integral of e), with e = at - reading.

    Attributes:
        reading, site, feature, number: what is read, as in `Condition`.
        at: what the reading is kept at, in its own unit.
        kp: v, in the edit's unit, per unit of the reading.
        ki: the same per second of observation time.
        bounds: (low, high) of v, in the edit's unit. A bound at the edit's value makes it
            one-sided: it acts only as far as the reading is off to that side.
        slew: fastest change of v per second, in the edit's unit; 0: as fast as the node allows.
    """

    reading: str = "feature"
    site: str = ""
    feature: int = 0
    number: int = 0
    at: float
    kp: float = 0.0
    ki: float = 0.0
    bounds: tuple[float, float]
    slew: float = 0.0

    def __post_init__(self) -> None:
        """Raise ConfigurationError naming the first part that cannot be."""
        check_reading(self.reading, "`control`")
        for name in ("at", "kp", "ki"):
            if not math.isfinite(getattr(self, name)):
                what = f"{name} of `control`"
                raise ConfigurationError(complaint(what, getattr(self, name), "a finite number"))
        if self.kp * self.ki < 0.0 or not (self.kp or self.ki):
            allowed = "of the same sign, and one of them not 0"
            raise ConfigurationError(complaint("kp, ki of `control`", (self.kp, self.ki), allowed))
        low, high = self.bounds
        if not -math.inf < low < high < math.inf:
            allowed = "two finite numbers, low below high"
            raise ConfigurationError(complaint("bounds of `control`", self.bounds, allowed))
        if not 0.0 <= self.slew < math.inf:
            raise ConfigurationError(complaint("slew of `control`", self.slew, "0 or more"))

    @property
    def key(self) -> ReadingKey:
        """What it reads."""
        return reading_key(self.reading, self.site, self.feature, self.number)


_ROUNDING = 1e-6
"""Of the bounds' distance: what a strength may miss without being behind."""


@dataclass
class Controller:
    """A control on its way through the inferences.

    reading: what it saw last; None where that is not known, which turns the edit off.
    """

    control: Control
    value: float
    """v that it starts from."""
    reading: float | None = None
    _integral: float = 0.0
    _wanted: float | None = None

    def update(
        self, readings: Readings, seconds: float, reached: float, held_back: bool = False
    ) -> float | None:
        """Take an inference's readings; return the v that is wanted, None where there is none.

        Args:
            readings: of this inference.
            seconds: of observation time since the one before.
            reached: the v that was applied in the one before.
            held_back: more of it has no effect at present: the cap, or a bypass.
        """
        self.reading = readings.get(self.control.key)
        if self.reading is None or not math.isfinite(self.reading):
            self.begin()
            return None
        control, error = self.control, self.control.at - self.reading
        low, high = control.bounds
        now = self.value + control.kp * error + self._integral
        # Anti-windup: it adds up only what the strength can follow. Beyond a bound, behind the
        # slew limit or held back, nothing is added that would lead farther away.
        step = control.ki * error * seconds
        step = min(step, max(high - now, 0.0)) if step > 0.0 else max(step, min(low - now, 0.0))
        behind = 0.0 if self._wanted is None else self._wanted - reached
        is_behind = behind * step > 0.0 and abs(behind) > _ROUNDING * (high - low)
        if not (is_behind or (held_back and (reached - self.value) * step >= 0.0)):
            self._integral += step
        wanted = self.value + control.kp * error + self._integral
        self._wanted = min(max(wanted, low), high)
        return self._wanted

    def begin(self) -> None:
        """Start anew: the edit has been off meanwhile."""
        self._integral, self._wanted = 0.0, None
