"""What the trace plot draws, as plain values. No Qt."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vla_sae_ros.panel.state.values import FeatureName

Values = npt.NDArray[np.float64]


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

    @property
    def title(self) -> str:
        """Site and number."""
        return f"{self.name[0]} #{self.name[1]}"

    def bounds(self) -> tuple[float, float]:
        """Return (low, high) of the lane: at least 0 to 1, else whole observed maxima, so that a
        lane does not change its scale with every value."""
        both = np.concatenate([self.natural, self.applied, [0.0, 1.0]])
        both = both[np.isfinite(both)]
        return float(math.floor(both.min())), float(math.ceil(both.max()))


@dataclass(frozen=True)
class EventMark:
    """Something that happened, as a line across all lanes."""

    time: float
    """[s], observation time."""
    text: str
    alarming: bool
