"""A threshold that changes over the episode, from split conformal prediction.

An episode's nonconformity is the largest of (score - centre(t)) / scale(t) over its inferences.
Centre and scale come from one part of the successful episodes, the quantile of the nonconformity
from another that had no part in them. If a further successful episode is exchangeable with that
second part, its score leaves the band at any time with at most the probability asked for.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.monitors.scores import Arrays, check_arrays, check_ascending


@dataclass(frozen=True)
class Band:
    """centre(t) + quantile x scale(t).

    steps: (K,) ascending control steps, between which centre (K,) and scale (K,), above 0, are
    interpolated; before the first and after the last they stay.
    """

    steps: npt.NDArray[np.floating]
    centre: npt.NDArray[np.floating]
    scale: npt.NDArray[np.floating]
    quantile: float

    def __post_init__(self) -> None:
        """Raise ConfigurationError for what is no band."""
        check_ascending("steps of a band", self.steps)
        arrays = {"centre": self.centre, "scale": self.scale}
        check_arrays("a band", arrays, dict.fromkeys(arrays, self.steps.shape))
        if not (self.scale > 0).all():
            raise ConfigurationError(
                complaint("smallest scale of a band", float(self.scale.min()), "above 0")
            )
        if not math.isfinite(self.quantile):
            raise ConfigurationError(complaint("quantile of a band", self.quantile, "finite"))

    def threshold(self, step: int) -> float:
        """Return the largest score that is no alarm at a control step."""
        centre, scale = self._at(step)
        return centre + self.quantile * scale

    def distance(self, step: int, score: float) -> float:
        """Return (score - centre) / scale at a control step: above `quantile` it is an alarm."""
        centre, scale = self._at(step)
        return (score - centre) / scale

    def arrays(self) -> dict[str, npt.NDArray[np.floating]]:
        """Return what `read_band` makes the band again from, beside its quantile."""
        return {"steps": self.steps, "centre": self.centre, "scale": self.scale}

    def _at(self, step: int) -> tuple[float, float]:
        return (
            float(np.interp(step, self.steps, self.centre)),
            float(np.interp(step, self.steps, self.scale)),
        )


def read_band(arrays: Arrays, quantile: float) -> Band:
    """Return a band from its arrays; raises ConfigurationError for others."""
    if set(arrays) != {"steps", "centre", "scale"}:
        raise ConfigurationError(
            complaint("arrays of a band", sorted(arrays), "steps, centre and scale")
        )
    return Band(**arrays, quantile=quantile)


def conformal_rank(episodes: int, false_alarms: float) -> int:
    """Return which of the ascending nonconformities of `episodes` is the threshold, from 1.

    Raises:
        ConfigurationError: too few episodes for this rate; with them no threshold is high enough.
    """
    if not 0.0 < false_alarms < 1.0:
        raise ConfigurationError(complaint("false alarms", false_alarms, "above 0, below 1"))
    # In hundred-millionths: 0.1 x 20 is 2.0000000000000004 in binary.
    rank = math.ceil(round((episodes + 1) * (1.0 - false_alarms), 8))
    if rank > episodes:
        least = math.ceil(round(1.0 / false_alarms - 1.0, 8))
        raise ConfigurationError(
            complaint(
                f"successful calibration episodes for {false_alarms:g} false alarms",
                episodes,
                f"at least {least}",
                "Collect more, allow more false alarms, or give calibration a larger share.",
            )
        )
    return rank


def conformal_quantile(nonconformities: Sequence[float], false_alarms: float) -> float:
    """Return the threshold that a further exchangeable episode exceeds with at most this rate."""
    rank = conformal_rank(len(nonconformities), false_alarms)
    return float(np.sort(np.asarray(nonconformities, np.float64))[rank - 1])
