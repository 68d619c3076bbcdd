"""What the trace plot draws, as plain values. No Qt."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from vla_sae_ros.panel.state.values import FeatureName
from vla_sae_ros.panel.views.time_window import nice_step

Values = npt.NDArray[np.float64]


class Lane(Protocol):
    """One lane of the plot.

    time: (n,) [s], ascending within an episode. solid, dashed: (n,) two curves over it, NaN where
    there is none. windows: stretches (begin, end) [s] that are shaded. mark: height of a dotted
    line; None without one.
    """

    @property
    def title(self) -> str: ...
    @property
    def label(self) -> str: ...
    @property
    def time(self) -> Values: ...
    @property
    def solid(self) -> Values: ...
    @property
    def dashed(self) -> Values: ...
    @property
    def windows(self) -> tuple[tuple[float, float], ...]: ...
    @property
    def mark(self) -> float | None: ...
    @property
    def alarming(self) -> bool:
        """The newest value stands out."""

    def bounds(self) -> tuple[float, float]:
        """Return (low, high) of the lane, low below high."""

    def top(self, high: float) -> str:
        """Return what is written at the lane's top; may be empty."""


@dataclass(frozen=True)
class Trace:
    """One feature over observation time.

    Attributes:
        name: (site, feature).
        label: may be empty.
        time: (n,) [s], ascending within an episode.
        natural, applied: (n,) in observed maxima.
        windows: stretches (begin, end) [s] under an edit.
    """

    name: FeatureName
    label: str
    time: Values
    natural: Values
    applied: Values
    windows: tuple[tuple[float, float], ...] = ()
    mark = 1.0
    """The observed maximum."""
    alarming = False

    @property
    def title(self) -> str:
        """Site and number."""
        return f"{self.name[0]} #{self.name[1]}"

    @property
    def solid(self) -> Values:
        """What was applied."""
        return self.applied

    @property
    def dashed(self) -> Values:
        """What the feature would be by itself."""
        return self.natural

    def bounds(self) -> tuple[float, float]:
        """Return (low, high) of the lane: at least 0 to 1, else whole observed maxima, so that a
        lane does not change its scale with every value."""
        both = np.concatenate([self.natural, self.applied, [0.0, 1.0]])
        both = both[np.isfinite(both)]
        return float(math.floor(both.min())), float(math.ceil(both.max()))

    def top(self, high: float) -> str:
        """Return the lane's top where it lies beyond the observed maximum."""
        return f"{high:g} max" if high > 1 else ""


@dataclass(frozen=True)
class MonitorTrace:
    """A monitor's score over observation time, with its threshold.

    Attributes:
        score_name: e.g. "fvu".
        site: whose features are scored.
        columns: (3, n) time [s], ascending; score and threshold in the score's own unit, NaN where
            not known.
        alarming: the alarm stands.
    """

    score_name: str
    site: str
    columns: Values
    alarming: bool = False
    windows = ()
    mark = None

    @property
    def title(self) -> str:
        """Which score, where."""
        return f"monitor: {self.score_name} at {self.site}"

    @property
    def label(self) -> str:
        """What the dashed curve is, and whether the alarm stands."""
        return "ALARM" if self.alarming else "dashed: threshold"

    @property
    def time(self) -> Values:
        """Of the observations."""
        return self.columns[0]

    @property
    def solid(self) -> Values:
        """The score."""
        return self.columns[1]

    @property
    def dashed(self) -> Values:
        """The threshold."""
        return self.columns[2]

    def bounds(self) -> tuple[float, float]:
        """Return (low, high) around both curves in round numbers, so that a lane does not change
        its scale with every value."""
        both = self.columns[1:][np.isfinite(self.columns[1:])]
        if not len(both):
            return 0.0, 1.0
        low, high = float(both.min()), float(both.max())
        step = nice_step(max(high - low, 0.1 * max(abs(low), abs(high)), 1e-6), 8)
        return math.floor(low / step) * step, (math.floor(high / step) + 1) * step

    def top(self, high: float) -> str:
        """Return the lane's top in the score's unit."""
        return f"{high:.6g}"


@dataclass(frozen=True)
class EventMark:
    """Something that happened, as a line across all lanes."""

    time: float
    """[s], observation time."""
    text: str
    alarming: bool
