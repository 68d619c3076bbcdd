"""Scores of one inference: the larger, the less it looks like a successful episode."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.monitors.sample import Floats, Sample

FVU, MAHALANOBIS, PROBE, TIME, STILLNESS = "fvu", "mahalanobis", "probe", "time", "stillness"
NAMES = (FVU, MAHALANOBIS, PROBE, TIME, STILLNESS)
BASELINES = (TIME, STILLNESS)
"""Scores that know nothing of the policy: whoever proposes another has to do better."""

MEANING = {
    FVU: "variance that the SAE leaves unexplained",
    MAHALANOBIS: "Mahalanobis distance from the activations of successes",
    PROBE: "log odds of failure, a linear probe whose weights change over time",
    TIME: "time since the episode's start [s]",
    STILLNESS: "minus the hand's speed [m/s]",
}
NEEDS = {FVU: "fvu", MAHALANOBIS: "pooled", PROBE: "pooled", TIME: "", STILLNESS: "speed"}
"""Which field of a sample a score reads; empty: its step alone."""

Arrays = Mapping[str, npt.NDArray[np.floating]]


class Score(Protocol):
    """Gives a number for one inference; NaN where the sample lacks what it needs."""

    def __call__(self, sample: Sample) -> float: ...

    def arrays(self) -> dict[str, npt.NDArray[np.floating]]:
        """Return what `read_score` makes the score again from."""
        ...


class FvuScore:
    """Fraction of variance unexplained, as the tap measured it."""

    def __call__(self, sample: Sample) -> float:
        return sample.fvu

    def arrays(self) -> dict[str, npt.NDArray[np.floating]]:
        return {}


class StillnessScore:
    """A hand that does not move: minus its speed [m/s]."""

    def __call__(self, sample: Sample) -> float:
        return -sample.speed

    def arrays(self) -> dict[str, npt.NDArray[np.floating]]:
        return {}


@dataclass(frozen=True)
class TimeScore:
    """A clock: seconds since the episode's start. control_rate: [Hz] of the steps."""

    control_rate: float

    def __call__(self, sample: Sample) -> float:
        return sample.step / self.control_rate

    def arrays(self) -> dict[str, npt.NDArray[np.floating]]:
        return {}


@dataclass(frozen=True)
class MahalanobisScore:
    """||W (x - mean)||. mean: (d,). whitening: W (d, d), W^T W the inverse covariance."""

    mean: npt.NDArray[np.floating]
    whitening: npt.NDArray[np.floating]

    def __call__(self, sample: Sample) -> float:
        if sample.pooled is None:
            return math.nan
        return float(np.linalg.norm(self.whitening @ (sample.pooled - self.mean)))

    def arrays(self) -> dict[str, npt.NDArray[np.floating]]:
        return {"mean": self.mean, "whitening": self.whitening}


@dataclass(frozen=True)
class ProbeScore:
    """w(t) . x + b(t): the log odds of failure.

    knots: (K,) ascending control steps between which weights (K, d) and bias (K,) are
    interpolated; before the first and after the last they stay.
    """

    knots: npt.NDArray[np.floating]
    weights: npt.NDArray[np.floating]
    bias: npt.NDArray[np.floating]

    def __call__(self, sample: Sample) -> float:
        if sample.pooled is None:
            return math.nan
        of_knots: Floats = self.weights @ sample.pooled + self.bias
        return float(np.interp(sample.step, self.knots, of_knots))

    def arrays(self) -> dict[str, npt.NDArray[np.floating]]:
        return {"knots": self.knots, "weights": self.weights, "bias": self.bias}


def read_score(name: str, arrays: Arrays, width: int, control_rate: float) -> Score:
    """Return the score of this name from its arrays.

    Args:
        name: one of NAMES.
        arrays: as the score's own `arrays` gave them.
        width: d of the residual stream.
        control_rate: [Hz].

    Raises:
        ConfigurationError: an array that is missing, left over, of another shape or not finite.
    """
    if name not in NAMES:
        raise ConfigurationError(complaint("score of the monitor", name, ", ".join(NAMES)))
    knots = len(arrays["knots"]) if "knots" in arrays else 1
    shapes: dict[str, dict[str, tuple[int, ...]]] = {
        MAHALANOBIS: {"mean": (width,), "whitening": (width, width)},
        PROBE: {"knots": (knots,), "weights": (knots, width), "bias": (knots,)},
    }
    check_arrays(f"score {name!r}", arrays, shapes.get(name, {}))
    if name == MAHALANOBIS:
        return MahalanobisScore(**arrays)
    if name == PROBE:
        check_ascending("knots of score 'probe'", arrays["knots"])
        return ProbeScore(**arrays)
    if name == TIME:
        return TimeScore(control_rate)
    return FvuScore() if name == FVU else StillnessScore()


def check_arrays(what: str, arrays: Arrays, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Raise ConfigurationError unless the arrays have these names and shapes and are finite."""
    if set(arrays) != set(shapes):
        raise ConfigurationError(complaint(f"arrays of {what}", sorted(arrays), sorted(shapes)))
    for name, shape in shapes.items():
        if arrays[name].shape != shape:
            raise ConfigurationError(
                complaint(f"shape of {name!r} of {what}", arrays[name].shape, shape)
            )
        if not np.isfinite(arrays[name]).all():
            raise ConfigurationError(complaint(f"{name!r} of {what}", "NaN or infinite", "finite"))


def check_ascending(what: str, steps: npt.NDArray[np.floating]) -> None:
    """Raise ConfigurationError unless there is a step, and each is greater than the one before."""
    if len(steps) == 0 or not (np.diff(steps) > 0).all():
        raise ConfigurationError(complaint(what, steps.tolist(), "ascending steps, at least one"))
