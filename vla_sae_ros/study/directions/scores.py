"""How well a number tells a target: AUROC where it has two values, Pearson's r otherwise."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

Floats = npt.NDArray[np.float64]


def measure(target: Floats) -> str:
    """Return what `scores` measures for this target (n,)."""
    return "AUROC" if _is_binary(target) else "r"


def scores(values: Floats, target: Floats) -> Floats:
    """Return the score (k,) of each column of `values` (n, k) for the target (n,), without NaN.

    AUROC: the chance that a step with 1 has the larger value than one with 0, ties count half.
    Of a column that is constant: AUROC 0.5, r 0.
    """
    if not _is_binary(target):
        return _pearson(values, target)
    positive = target == 1.0
    ones, zeros = int(positive.sum()), int((~positive).sum())
    ranks = rankdata(values, axis=0)[positive].sum(0)
    area: Floats = (ranks - ones * (ones + 1) / 2) / (ones * zeros)
    return area


def chance(target: Floats) -> float:
    """Return the score of a number that has nothing to do with the target (n,)."""
    return 0.5 if _is_binary(target) else 0.0


def _is_binary(target: Floats) -> bool:
    return bool(np.isin(target, (0.0, 1.0)).all())


def _pearson(values: Floats, target: Floats) -> Floats:
    centred, wanted = values - values.mean(0), target - target.mean()
    below = np.linalg.norm(centred, axis=0) * np.linalg.norm(wanted)
    return np.where(below > 0.0, wanted @ centred / np.maximum(below, 1e-300), 0.0)
