"""Intervals of means of paired differences: the bias-corrected, accelerated bootstrap."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri

from vla_sae_ros.core.errors import ConfigurationError, complaint

Floats = npt.NDArray[np.float64]

DRAWS = 4000
LEVEL = 0.95


@dataclass(frozen=True)
class MeanInterval:
    """Means of m quantities with their intervals, each (m,) in the quantity's own unit.

    pairs: (m,) int64, how many pairs each mean is over. All NaN where there is none; without a
    width where there is one, or where all differences are equal.
    """

    mean: Floats
    low: Floats
    high: Floats
    pairs: npt.NDArray[np.int64]


def mean_interval(
    differences: Floats, draws: int = DRAWS, level: float = LEVEL, seed: int = 0
) -> MeanInterval:
    """Return the BCa interval of the mean over pairs of each of m quantities.

    Pairs are drawn with replacement, all quantities of a pair together. BCa: B. Efron, "Better
    bootstrap confidence intervals", JASA 1987; the acceleration is the jackknife's, for a mean
    sum(c^3) / (6 sum(c^2)^1.5) with c the differences about their mean. The same seed gives the
    same interval.

    Args:
        differences: (pairs, m), NaN where a pair lacks a quantity.
        draws: bootstrap samples. level: coverage wanted.

    Raises:
        ConfigurationError: `draws` below 100 or a level outside (0, 1).
    """
    if draws < 100:
        raise ConfigurationError(complaint("bootstrap draws", draws, "100 or more"))
    if not 0 < level < 1:
        raise ConfigurationError(complaint("level of an interval", level, "between 0 and 1"))
    known = np.isfinite(differences)
    filled = np.where(known, differences, 0.0)
    pairs = known.sum(axis=0)
    mean = _ratio(filled.sum(axis=0), pairs)
    drawn = _drawn_means(filled, known, draws, seed)
    low, high = _bca(drawn, mean, np.where(known, differences - mean, 0.0), level)
    return MeanInterval(mean, low, high, pairs.astype(np.int64))


def _ratio(total: Floats, count: npt.NDArray) -> Floats:
    return np.divide(total, count, out=np.full(np.shape(total), np.nan), where=count > 0)


def _drawn_means(filled: Floats, known: npt.NDArray[np.bool_], draws: int, seed: int) -> Floats:
    """Return (draws, m) means; a draw without any pair of a quantity is NaN there."""
    n = len(filled)
    if n == 0:
        return np.full((draws, filled.shape[1]), np.nan)
    # How often each pair is drawn: a matrix product is all that a mean needs.
    weights = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=draws)
    drawn = weights.astype(np.float64)
    return _ratio(drawn @ filled, drawn @ known)


def _bca(drawn: Floats, mean: Floats, centred: Floats, level: float) -> tuple[Floats, Floats]:
    usable = np.isfinite(drawn)
    count = np.maximum(usable.sum(axis=0), 1)
    # Draws equal to the mean, frequent for counts, lie half below it. Rounding makes equal ones
    # differ in the last bit.
    close = np.abs(drawn - mean) <= 1e-12 * np.maximum(np.abs(mean), 1e-300)
    below = ((drawn < mean) & ~close).sum(axis=0) + 0.5 * close.sum(axis=0)
    bias = ndtri(np.clip(below / count, 0.5 / count, 1 - 0.5 / count))
    spread = (centred**2).sum(axis=0) ** 1.5
    skew = np.divide(
        (centred**3).sum(axis=0), 6 * spread, out=np.zeros_like(mean), where=spread > 0
    )
    tails = ndtri(np.array([(1 - level) / 2, (1 + level) / 2]))[:, None]
    shifted = bias + tails
    share = ndtr(bias + shifted / (1 - skew * shifted))
    low, high = _quantiles(drawn, share)
    return low, high


def _quantiles(drawn: Floats, share: Floats) -> Floats:
    """Return (2, m): the quantile `share` (2, m) of each column, NaN draws left out."""
    ordered = np.sort(drawn, axis=0)  # NaN last
    usable = np.isfinite(ordered).sum(axis=0)
    place = share * np.maximum(usable - 1, 0)
    lower = np.clip(np.floor(place).astype(np.int64), 0, len(drawn) - 1)
    upper = np.clip(np.ceil(place).astype(np.int64), 0, len(drawn) - 1)
    column = np.arange(drawn.shape[1])
    a, b = ordered[lower, column], ordered[upper, column]
    return np.asarray(a + (b - a) * (place - lower))
