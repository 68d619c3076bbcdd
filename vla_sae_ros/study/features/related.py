"""Which features fire together, in one SAE and between two, over the same inferences."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Codes = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Together:
    """How F features go with G others over the same inferences.

    inferences: how many there were.
    r: (F, G) float64, Pearson's; NaN where either is constant. share: (F, G) float64, in which
    share of the inferences at which the first fires the second fires, too; NaN where the first
    never does.
    """

    inferences: int
    r: Floats
    share: Floats


def together(pairs: Iterable[tuple[Codes, Codes]], size: int, other: int) -> Together:
    """Measure two dictionaries' codes against each other.

    Args:
        pairs: the codes (T, F) and (T, G) of the same inferences, part by part; 0 is silent.
        size: F.
        other: G.
    """
    count = 0
    one, one_squared, fires = np.zeros(size), np.zeros(size), np.zeros(size)
    two, two_squared = np.zeros(other), np.zeros(other)
    product, both = np.zeros((size, other)), np.zeros((size, other))
    for codes, others in pairs:
        count += len(codes)
        a, b = codes.astype(np.float64), others.astype(np.float64)
        one, two = one + a.sum(axis=0), two + b.sum(axis=0)
        one_squared, two_squared = (
            one_squared + (a * a).sum(axis=0),
            two_squared + (b * b).sum(axis=0),
        )
        product += a.T @ b
        active = (a > 0).astype(np.float64)
        fires += active.sum(axis=0)
        both += active.T @ (b > 0)
    spread = np.sqrt(
        np.outer(_variance(one, one_squared, count), _variance(two, two_squared, count))
    )
    covariance = count * product - np.outer(one, two)
    return Together(count, _ratio(covariance, spread), _ratio(both, fires[:, None]))


def _variance(total: Floats, squared: Floats, count: int) -> Floats:
    """Return count^2 times the variance; 0 where it is nothing but rounding."""
    found = count * squared - total * total
    return np.where(found > 1e-12 * count * squared, found, 0.0)


def _ratio(part: Floats, whole: Floats) -> Floats:
    whole = np.broadcast_to(whole, part.shape)
    return np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0)
