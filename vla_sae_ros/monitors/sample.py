"""What a monitor hears of one inference, live, in a bag or in collected activations."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Sample:
    """One inference.

    step: control ticks executed when the observation was made. fvu: fraction of variance that the
    SAE's reconstruction leaves. pooled: (d,) mean of the residual stream over the tokens that the
    SAE reads, before any edit; None where nobody kept it. speed: [m/s] of the hand, the mean since
    the inference before. NaN is what is not known.
    """

    step: int
    fvu: float = math.nan
    pooled: Floats | None = None
    speed: float = math.nan
