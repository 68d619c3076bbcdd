"""How well an autoencoder reconstructs a set of samples."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.sae.kinds.samples import Samples
from vla_sae_ros.sae.kinds.sparse_autoencoder import SparseAutoencoder


@dataclass(frozen=True)
class Metrics:
    """Reconstruction metrics over one set of samples.

    fvu: sum (x - x_hat)^2 / sum (x - mean)^2 in the units of x, as sparsify defines it.
    l0: mean number of features with a code above 0. dead_share: share of features that never fire.
    mean_norm: mean ||x||. mean_scale: mean of the normalisation's scale, 1 without one.
    density: (F,) float64, share of samples in which a feature fires.
    """

    fvu: float
    l0: float
    dead_share: float
    mean_norm: float
    mean_scale: float
    density: np.ndarray


@torch.inference_mode()
def evaluate(sae: SparseAutoencoder, samples: Samples, batch_size: int = 4096) -> Metrics:
    """Return the metrics of `sae` over samples (n, d) float32, read batch by batch.

    Raises ConfigurationError without samples, or when all samples are the same.
    """
    if len(samples) == 0:
        raise ConfigurationError(complaint("number of samples to evaluate on", 0, "at least 1"))
    device = sae.b_dec.device
    # Sums about the first sample: about zero, a large common mean would eat the digits.
    origin = torch.from_numpy(np.array(samples[0], np.float32)).to(device, torch.float64)
    total = torch.zeros(sae.d_in, dtype=torch.float64, device=device)
    fired = torch.zeros(sae.dictionary_size, dtype=torch.float64, device=device)
    square = error = norm = scales = 0.0
    for start in range(0, len(samples), batch_size):
        x = torch.from_numpy(np.array(samples[start : start + batch_size], np.float32)).to(device)
        x_n, scale, shift = sae.normalize(x)
        code = sae.encode_normalized(x_n)
        x_hat = sae.decode_active(code) * scale + shift
        error += float((x - x_hat).to(torch.float64).square().sum())
        fired += code.times_active(sae.dictionary_size)
        norm += float(x.norm(dim=1).sum())
        scales += float(scale.sum())
        apart = x - origin
        total += apart.sum(dim=0)
        square += float(apart.square().sum())
    n = len(samples)
    variance = square - float(total.square().sum()) / n
    if variance <= 1e-12 * max(square, 1e-30):
        raise ConfigurationError(
            complaint("variance of the samples to evaluate on", variance, "above 0")
        )
    return Metrics(
        fvu=error / variance,
        l0=float(fired.sum()) / n,
        dead_share=float((fired == 0).double().mean()),
        mean_norm=norm / n,
        mean_scale=scales / n,
        density=(fired / n).cpu().numpy(),
    )
