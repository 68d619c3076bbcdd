"""How well an autoencoder reconstructs a set of samples."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.sae.kinds.samples import Samples
from vla_sae_ros.sae.kinds.sparse_autoencoder import SparseAutoencoder
from vla_sae_ros.sae.shapes import Batch

SINK = 10.0
"""Times the median length: far more than tokens differ, far less than attention sinks do."""
_MEDIAN_OF = 65_536  # samples


@dataclass(frozen=True)
class Metrics:
    """Reconstruction metrics over one set of samples.

    fvu: sum (x - x_hat)^2 / sum (x - mean)^2 in the units of x, as sparsify defines it.
    l0: mean number of features with a code above 0. dead_share: share of features that never fire.
    sink_share: share of samples that are over SINK times as long as the median one: attention
    sinks, where samples are tokens. fvu_ordinary: FVU of the others about their own mean; equal to
    fvu without sinks. FVU is NaN where all samples are the same.
    mean_norm: mean ||x||. mean_scale: mean of the normalisation's scale, 1 without one.
    density: (F,) float64, share of samples in which a feature fires.
    """

    fvu: float
    l0: float
    dead_share: float
    mean_norm: float
    mean_scale: float
    density: np.ndarray
    sink_share: float
    fvu_ordinary: float


@torch.inference_mode()
def evaluate(sae: SparseAutoencoder, samples: Samples, batch_size: int = 4096) -> Metrics:
    """Return the metrics of `sae` over samples (n, d) float32, read batch by batch.

    Raises ConfigurationError without samples.
    """
    if len(samples) == 0:
        raise ConfigurationError(complaint("number of samples to evaluate on", 0, "at least 1"))
    device = sae.b_dec.device
    # Sums about the first sample: about zero, a large common mean would eat the digits.
    origin = torch.from_numpy(np.array(samples[0], np.float32)).to(device, torch.float64)
    longest = sink_length(samples)
    ordinary, sinks = _Unexplained(origin), _Unexplained(origin)
    fired = torch.zeros(sae.dictionary_size, dtype=torch.float64, device=device)
    norm = scales = 0.0
    for start in range(0, len(samples), batch_size):
        x = torch.from_numpy(np.array(samples[start : start + batch_size], np.float32)).to(device)
        x_n, scale, shift = sae.normalize(x)
        code = sae.encode_normalized(x_n)
        x_hat = sae.decode_active(code) * scale + shift
        fired += code.times_active(sae.dictionary_size)
        norms = x.norm(dim=1)
        norm += float(norms.sum())
        scales += float(scale.sum())
        is_sink = norms > longest
        ordinary.add(x[~is_sink], x_hat[~is_sink])
        sinks.add(x[is_sink], x_hat[is_sink])
    n = len(samples)
    return Metrics(
        fvu=ordinary.together(sinks).fvu,
        l0=float(fired.sum()) / n,
        dead_share=float((fired == 0).double().mean()),
        mean_norm=norm / n,
        mean_scale=scales / n,
        density=(fired / n).cpu().numpy(),
        sink_share=sinks.count / n,
        fvu_ordinary=ordinary.fvu,
    )


def sink_metrics(metrics: Metrics) -> dict[str, float]:
    """Return what a card says about attention sinks; nothing where there are none."""
    if not metrics.sink_share:
        return {}
    return {"sink_share": metrics.sink_share, "fvu_ordinary": metrics.fvu_ordinary}


def sink_words(metrics: Mapping[str, float]) -> str:
    """Return in words what a card's metrics say about attention sinks; empty without any."""
    if "sink_share" not in metrics:
        return ""
    return (
        f"{metrics['sink_share']:.1%} of the tokens are over {SINK:g} times as long as the median "
        f"(attention sinks) and dominate that FVU: of the others it is "
        f"{metrics['fvu_ordinary']:.4f}"
    )


def sink_length(samples: Samples) -> float:
    """Return ||x|| above which a sample counts as an attention sink: SINK times the median.

    Samples of zeros, as padding is in some policies, do not count towards the median.
    """
    some = np.unique(np.linspace(0, len(samples) - 1, _MEDIAN_OF).astype(np.int64))
    norms = np.linalg.norm(samples[some], axis=1)
    return SINK * float(np.median(norms[norms > 0])) if norms.any() else math.inf


class _Unexplained:
    """Sums for the FVU of some samples.

    Args:
        origin: (d,) float64, about which sums are taken.
    """

    def __init__(self, origin: Tensor) -> None:
        self._origin = origin
        self._total = torch.zeros_like(origin)
        self._square = self._error = 0.0
        self.count = 0

    def add(self, x: Batch, x_hat: Batch) -> None:
        self.count += len(x)
        self._error += float((x - x_hat).to(torch.float64).square().sum())
        apart = x - self._origin
        self._total += apart.sum(dim=0)
        self._square += float(apart.square().sum())

    def together(self, other: _Unexplained) -> _Unexplained:
        """Return the sums over both."""
        both = _Unexplained(self._origin)
        both._total = self._total + other._total
        both._square = self._square + other._square
        both._error = self._error + other._error
        both.count = self.count + other.count
        return both

    @property
    def fvu(self) -> float:
        """NaN where nothing varies."""
        variance = self._square - float(self._total.square().sum()) / max(1, self.count)
        if variance <= 1e-12 * max(self._square, 1e-30):
            return math.nan
        return self._error / variance
