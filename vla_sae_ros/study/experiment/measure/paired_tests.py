"""Tests of paired results: Wilcoxon's signed ranks, McNemar's exact test, Holm's correction."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy import stats

from vla_sae_ros.core.errors import ConfigurationError

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]


def wilcoxon(differences: Floats) -> Floats:
    """Return (m,) two-sided p that the differences of m quantities lie symmetrically about 0.

    F. Wilcoxon, 1945. Differences of zero keep their ranks but take no side (Pratt, 1959); equal
    ones share their mean rank. The distribution is exact: that of the sum when each difference
    takes either sign. SciPy's is exact only without ties and zeros or up to 13 pairs.
    NaN differences are left out; 1 where all differences are zero, NaN where there is none.

    Args:
        differences: (pairs, m).
    """
    return np.array([_signed_ranks(column) for column in differences.T], np.float64)


def _signed_ranks(differences: Floats) -> float:
    known = differences[np.isfinite(differences)]
    if not len(known):
        return float("nan")
    if not known.any():
        return 1.0
    ranks = stats.rankdata(np.abs(known))
    doubled = np.rint(2 * ranks[known != 0]).astype(np.int64)  # whole numbers, also of shared ranks
    chance = np.ones(1)  # of each value that the doubled sum of positive ranks can have
    for rank in doubled:
        nothing = np.zeros(rank)
        chance = (np.append(chance, nothing) + np.append(nothing, chance)) / 2
    positive = int(np.rint(2 * ranks[known > 0]).sum())
    side = min(chance[: positive + 1].sum(), chance[positive:].sum())
    return min(1.0, 2 * float(side))


def mcnemar(gained: npt.ArrayLike, lost: npt.ArrayLike) -> Floats:
    """Return the exact two-sided p that an arm gains and loses equally many successes.

    Q. McNemar, 1947, as a binomial test on the pairs that differ; 1 where none does.

    Args:
        gained: pairs that succeed with steering only. lost: without it only. Any equal shapes.

    Raises:
        ConfigurationError: a negative number.
    """
    b, c = np.asarray(gained, np.int64), np.asarray(lost, np.int64)
    if (b < 0).any() or (c < 0).any():
        raise ConfigurationError("Pairs that differ are counted: 0 or more.")
    return np.minimum(1.0, 2 * stats.binom.cdf(np.minimum(b, c), b + c, 0.5))


def holm(p: Floats) -> Floats:
    """Return p adjusted so that the chance of any false positive stays below the level.

    S. Holm, "A simple sequentially rejective multiple test procedure", 1979. Any shape, one
    family; NaN is no test: it stays NaN and does not count.
    """
    flat = p.ravel()
    tested = np.flatnonzero(np.isfinite(flat))
    order = tested[np.argsort(flat[tested], kind="stable")]
    steps = len(order) - np.arange(len(order))
    adjusted = np.full(flat.shape, np.nan)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(steps * flat[order]))
    return adjusted.reshape(p.shape)


def smallest_p(pairs: int) -> float:
    """Return the smallest p that `wilcoxon` can give for so many pairs: 2 / 2^pairs."""
    return min(1.0, 2.0 ** (1 - pairs))


def fewest_pairs(family: int, level: float) -> int:
    """Return how many pairs `wilcoxon` needs to pass Holm's correction in a family of tests."""
    return 1 + math.ceil(math.log2(family / level))
