"""The bar that an effect must pass: what random decoder rows do at the same strength."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

SHARE = 0.95


@dataclass(frozen=True)
class RandomBar:
    """How far random decoder rows of the same strength move an effect.

    height: an effect counts when its size is above; infinite without any row.
    rows: how many rows it stands on. chance: how often a further random row would pass, at most.
    """

    height: float
    rows: int
    chance: float

    def passed(self, effect: float) -> bool:
        """Tell whether an effect counts; NaN never does."""
        return abs(effect) > self.height


def random_bar(effects: Floats, share: float = SHARE) -> RandomBar:
    """Return the bar from the mean effects (rows,) of random decoder rows; NaN is left out.

    The rule for few rows: of R sizes |effect| in order, the bar is number ceil(share (R + 1)). A
    further row from the same population lies above it with a chance of at most 1 - share,
    whatever its distribution. Below 19 rows (for 95 %) there is no such number: the bar is then
    the largest, and the chance 1 / (R + 1), which is more than 1 - share and is said.
    """
    sizes = np.sort(np.abs(effects[np.isfinite(effects)]))
    rows = len(sizes)
    if not rows:
        return RandomBar(math.inf, 0, math.nan)
    # 0.95 x 20 is a hair above 19 in binary.
    number = min(rows, math.ceil(share * (rows + 1) - 1e-9))
    return RandomBar(float(sizes[number - 1]), rows, 1 - number / (rows + 1))
