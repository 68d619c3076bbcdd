"""The geometric median: the point of least total distance to a set of samples."""

from __future__ import annotations

import torch

from vla_sae_ros.sae.shapes import Batch, PerDimension

_TINY = 1e-12


def geometric_median(
    samples: Batch, tolerance: float = 1e-6, max_iterations: int = 200
) -> PerDimension:
    """Return the geometric median (d,) of `samples` (n, d), in their dtype.

    Weiszfeld's iteration from the mean, in float64, until a step is shorter than `tolerance` times
    the mean distance. Robust to the few huge activations that pull the mean away.
    """
    points = samples.to(torch.float64)
    median = points.mean(dim=0)
    for _ in range(max_iterations):
        distance = (points - median).norm(dim=1).clamp(min=_TINY)
        weight = 1.0 / distance
        moved = (weight @ points) / weight.sum()
        step = float((moved - median).norm())
        median = moved
        if step <= tolerance * float(distance.mean()):
            break
    return median.to(samples.dtype)
