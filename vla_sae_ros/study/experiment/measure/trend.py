"""Does an effect grow with the dose? Page's trend over paired doses, by permutation."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from vla_sae_ros.core.errors import ConfigurationError, complaint

Floats = npt.NDArray[np.float64]

PERMUTATIONS = 2000


@dataclass(frozen=True)
class Trend:
    """How an effect follows the dose.

    rho: mean over pairs of Spearman's correlation of effect and dose, -1 to 1; 1: every pair's
    effect rises with every dose. It is Page's L, rescaled. p: two-sided, of `permutations`
    shuffles of the doses within each pair, the observed order counted: (1 + as far) / (1 + all).
    Both NaN below three doses or without a pair that has them all.
    """

    rho: float
    p: float
    pairs: int


def trend(effects: Floats, doses: Floats, permutations: int = PERMUTATIONS, seed: int = 0) -> Trend:
    """Test whether the effect is monotone in the dose.

    E. B. Page, "Ordered hypotheses for multiple treatments", JASA 1963: effects are ranked within
    each pair, ties take their mean rank.

    Args:
        effects: (pairs, doses), NaN where a pair lacks a dose; such pairs are left out.
        doses: (doses,), all different, signed.

    Raises:
        ConfigurationError: two equal doses.
    """
    if len(np.unique(doses)) != len(doses):
        raise ConfigurationError(complaint("doses of a trend", doses.tolist(), "all different"))
    whole = effects[np.isfinite(effects).all(axis=1)][:, np.argsort(doses)]
    if len(doses) < 3 or not len(whole):
        return Trend(float("nan"), float("nan"), len(whole))
    ranks = _standard(rankdata(whole, axis=1))
    order = _standard(np.arange(len(doses), dtype=np.float64)[None])[0]
    observed = float((ranks @ order).mean())
    # Shuffling the doses under the effects is shuffling the effects over the doses.
    shuffled = _shuffles(len(whole), len(doses), permutations, seed) @ ranks.ravel() / len(whole)
    as_far = int((np.abs(shuffled) >= abs(observed) - 1e-9).sum())
    return Trend(observed, (1 + as_far) / (1 + permutations), len(whole))


@lru_cache(maxsize=4)
def _shuffles(pairs: int, doses: int, permutations: int, seed: int) -> Floats:
    """Return (permutations, pairs x doses): the doses in order, shuffled within each pair.

    The effects of a study have the same pairs and doses: they share their shuffles.
    """
    order = _standard(np.arange(doses, dtype=np.float64)[None])
    rows = np.repeat(order, permutations * pairs, axis=0)
    np.random.default_rng(seed).permuted(rows, axis=1, out=rows)
    return rows.reshape(permutations, pairs * doses)


def _standard(ranks: Floats) -> Floats:
    """Centre each row and scale it to length 1; a row of equal ranks becomes zero."""
    centred = ranks - ranks.mean(axis=1, keepdims=True)
    length = np.linalg.norm(centred, axis=1, keepdims=True)
    return np.divide(centred, length, out=np.zeros_like(centred), where=length > 0)
