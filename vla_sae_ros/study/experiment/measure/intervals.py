"""The 95 % interval of each effect: the bootstrap's, and the score interval of a success."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.optimize import brentq
from scipy.stats import norm

from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.study.experiment.measure.bootstrap import (
    LEVEL,
    Floats,
    MeanInterval,
    mean_interval,
)
from vla_sae_ros.study.experiment.measure.effects import SUCCESS, Effect


def effect_intervals(differences: Floats, effects: Sequence[Effect], seed: int = 0) -> MeanInterval:
    """Return the mean over pairs of each effect with its interval.

    A change of success is -1, 0 or 1, and in most pairs 0: a bootstrap of ten pairs that all ended
    alike draws nothing else, and claims to know the difference exactly. `success_interval` does
    not; all other effects have `mean_interval`.

    Args:
        differences: (pairs, len(effects)), NaN where a pair lacks an effect.
    """
    found = mean_interval(differences, seed=seed)
    for number, effect in enumerate(effects):
        known = differences[np.isfinite(differences[:, number]), number]
        if effect is SUCCESS and len(known):
            ends = success_interval(int((known > 0).sum()), int((known < 0).sum()), len(known))
            found.low[number], found.high[number] = ends
    return found


def success_interval(
    gained: int, lost: int, pairs: int, level: float = LEVEL
) -> tuple[float, float]:
    """Return the score interval of the difference of two paired success rates.

    T. Tango, "Equivalence test and confidence interval for the difference in proportions for the
    paired-sample design", Statistics in Medicine 1998, equations 8 to 10. Without pairs that differ
    it is Wilson's: z^2 / (pairs + z^2) to both sides.

    Args:
        gained: pairs that succeed with steering only. lost: without it only. pairs: all of them.

    Raises:
        ConfigurationError: counts that no pairs have.
    """
    if min(gained, lost) < 0 or not pairs > 0 or gained + lost > pairs:
        raise ConfigurationError(
            f"{gained} pairs gained and {lost} lost of {pairs} make no difference of success: "
            "counts are 0 or more, and together up to the number of pairs, at least 1."
        )
    return _lower(gained, lost, pairs, level), -_lower(lost, gained, pairs, level)


def _lower(b: int, c: int, n: int, level: float) -> float:
    """Return the difference at which the observed one is as far above as the level allows."""
    z = float(norm.ppf((1 + level) / 2))

    def beyond(difference: float) -> float:
        """Tango's statistic less z, times the standard error, which may be 0."""
        linear = (2 * n - b + c) * difference - b - c
        constant = -c * difference * (1 - difference)
        lost = (math.sqrt(max(0.0, linear**2 - 8 * n * constant)) - linear) / (4 * n)
        variance = n * (2 * lost + difference * (1 - difference))
        return b - c - n * difference - z * math.sqrt(max(0.0, variance))

    observed = (b - c) / n
    if observed == -1:
        return -1.0
    # At the observed difference itself the standard error may be 0, which is no crossing.
    return float(brentq(beyond, -1.0, observed - 1e-9))
