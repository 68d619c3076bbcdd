"""When an edit acts: only while a reading is beyond a threshold, with hysteresis."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.core.readout import SiteReadout

FEATURE, STEP, HEIGHT, GRIPPER, STATE = READINGS = (
    "feature",
    "step",
    "height",
    "gripper",
    "state",
)

ReadingKey = tuple[str, str, int]
"""(kind, site, number): the site of a feature only, the number of a feature or of the state."""

Readings = Mapping[ReadingKey, float]
"""What is known when an inference begins; what is missing is not known."""


def check_reading(reading: str, of: str) -> None:
    """Raise ConfigurationError for a kind of reading that there is none of; `of` names the key."""
    if reading not in READINGS:
        raise ConfigurationError(complaint(f"reading of {of}", reading, ", ".join(READINGS)))


def reading_key(reading: str, site: str, feature: int, number: int) -> ReadingKey:
    """Return what is read, without the parts that this kind of reading does not have."""
    if reading == FEATURE:
        return FEATURE, site, feature
    return reading, "", number if reading == STATE else 0


@dataclass(frozen=True)
class Condition:
    """An edit acts only while this holds.

    Attributes:
        reading: "feature": z of the inference before, before its edits, of an SAE or of directions;
            "step": control ticks executed; "height", "gripper": the hand's height and opening [m],
            where the policy's state is known to hold them; "state": a number of that state.
        site: of a feature.
        feature: of a feature.
        number: of the state, from 0.
        above, below: the threshold in the reading's unit; exactly one of them.
        hysteresis: how far the reading must come back to end it again.
        hold: [s] of observation time for which it must hold before the edit acts.
    """

    reading: str = FEATURE
    site: str = ""
    feature: int = 0
    number: int = 0
    above: float | None = None
    below: float | None = None
    hysteresis: float = 0.0
    hold: float = field(default=0.0, metadata={"key": "for"})

    def __post_init__(self) -> None:
        """Raise ConfigurationError naming the first part that cannot be."""
        check_reading(self.reading, "`when`")
        given = [one for one in (self.above, self.below) if one is not None]
        if len(given) != 1 or not math.isfinite(given[0]):
            raise ConfigurationError(
                complaint("threshold of `when`", given, "one finite number: `above` or `below`")
            )
        for name in ("hysteresis", "hold"):
            if not 0.0 <= getattr(self, name) < math.inf:
                what = f"{'for' if name == 'hold' else name} of `when`"
                raise ConfigurationError(complaint(what, getattr(self, name), "0 or more"))

    @property
    def key(self) -> ReadingKey:
        """What it reads."""
        return reading_key(self.reading, self.site, self.feature, self.number)

    @property
    def threshold(self) -> float:
        return self.above if self.above is not None else self.below or 0.0

    def holds(self, reading: float, was_open: bool) -> bool:
        """Whether a reading is beyond the threshold, which lies farther back once it is."""
        back = self.hysteresis if was_open else 0.0
        if self.above is not None:
            return reading > self.above - back
        return reading < self.threshold + back


def feature_readings(
    sites: Sequence[SiteReadout], wanted: Iterable[tuple[str, int]]
) -> dict[ReadingKey, float]:
    """Return z before the edits of the wanted (site, feature); 0 where it is not active.

    Those of a site that was not read out are missing.
    """
    by_site = {one.site: one for one in sites}
    found: dict[ReadingKey, float] = {}
    for site, feature in wanted:
        if site in by_site:
            readout = by_site[site]
            place = np.flatnonzero(readout.index == feature)
            found[FEATURE, site, feature] = float(readout.natural[place[0]]) if len(place) else 0.0
    return found


STALE = 2.0
"""[s] of observation time after which what the inference before read is not known any more."""


@dataclass(frozen=True)
class ReadOut:
    """What conditions read in the inference before, at `time` [s] of its observation."""

    time: float = -math.inf
    features: Readings = field(default_factory=dict)

    def known_at(self, time: float) -> Readings:
        """Return what counts in an inference at this observation time: nothing once it is old."""
        return self.features if 0.0 <= time - self.time <= STALE else {}


@dataclass
class Gate:
    """A condition on its way through the inferences.

    reading: what it saw last; None where that is not known, which closes it.
    """

    condition: Condition
    open: bool = False
    reading: float | None = None
    _held: float | None = None  # [s] for which it has held

    def update(self, readings: Readings, seconds: float) -> bool:
        """Take an inference's readings, so long after the one before; return whether it is open."""
        self.reading = readings.get(self.condition.key)
        known = self.reading is not None and math.isfinite(self.reading)
        if not known or not self.condition.holds(self.reading or 0.0, self.open):
            self.open, self._held = False, None
            return False
        self._held = 0.0 if self._held is None else self._held + seconds
        # Sums of stamps are not exact: a hold of 0.2 s is over after four ticks of 0.05 s.
        self.open = self.open or self._held >= self.condition.hold - 1e-6
        return self.open

    def close(self) -> None:
        """Begin anew, as in another episode."""
        self.open, self.reading, self._held = False, None, None
