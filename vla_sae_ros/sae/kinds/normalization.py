"""How an autoencoder normalises each sample before it encodes it, and how that is undone.

Every normalisation is x_n = (x - shift) / scale with numbers of the sample itself, so that a code
change dz moves the residual stream by exactly scale * (dz @ W_dec). Normalisations by numbers of
the data set (one factor, or mean and deviation per dimension) are folded into the weights instead,
see `folding`.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from vla_sae_ros.sae.shapes import PerDimension, Residuals
from vla_sae_ros.sae.torch_releases import is_compiling

# A tensor: torch converts a Python number in every sum, and a small policy feels each operation.
_LAYER_NORM_EPSILON = torch.tensor(1e-5)
_TINY = 1e-8  # a sample without any spread encodes as zero, not as NaN

Normalized = tuple[Residuals, Tensor, Tensor]
"""x_n (..., d), scale (..., 1) and shift (..., 1) or (..., d), with x ~ x_n * scale + shift."""


def none(x: Residuals, pre_bias: PerDimension) -> Normalized:
    """Leave x as it is."""
    side = (*x.shape[:-1], 1)
    return x, x.new_ones(side), x.new_zeros(side)


def layer_norm(x: Residuals, pre_bias: PerDimension) -> Normalized:
    """Subtract the mean, divide by the standard deviation, as SAELens' `layer_norm`.

    SAELens divides by (unbiased std + 1e-5) on the way in and multiplies by the std alone on the
    way out: `scale` is that std.
    """
    scale, shift = torch.std_mean(x, dim=-1, keepdim=True)
    centred = x - shift
    # In a compiled graph a number is part of a kernel, and a tensor of the CPU one more input.
    epsilon = 1e-5 if is_compiling() else _LAYER_NORM_EPSILON
    return centred.div_(scale + epsilon), scale, shift


def constant_norm_rescale(x: Residuals, pre_bias: PerDimension) -> Normalized:
    """Give every sample the norm sqrt(d), as SAELens' `constant_norm_rescale`."""
    scale = x.norm(dim=-1, keepdim=True).clamp_min(_TINY) / math.sqrt(x.shape[-1])
    return x / scale, scale, x.new_zeros(scale.shape)


def l2(x: Residuals, pre_bias: PerDimension) -> Normalized:
    """Subtract `pre_bias` (d,), then the sample's mean, and divide by the norm of what is left.

    Dr.VLA (arXiv 2603.19183): x_hat = (z W_dec) * norm + mean + pre_bias.
    """
    biased = x - pre_bias
    mean = biased.mean(dim=-1, keepdim=True)
    centred = biased - mean
    scale = centred.norm(dim=-1, keepdim=True).clamp_min(_TINY)
    return centred.div_(scale), scale, mean + pre_bias


_BY_NAME: dict[str, Callable[[Tensor, Tensor], Normalized]] = {
    function.__name__: function for function in (none, layer_norm, constant_norm_rescale, l2)
}
NORMALIZATIONS = tuple(_BY_NAME)


def normalize(x: Residuals, name: str, pre_bias: PerDimension) -> Normalized:
    """Return x_n, scale and shift of x (..., d) float32 by the normalisation of that name.

    pre_bias: (d,), which only `l2` subtracts.
    """
    return _BY_NAME[name](x, pre_bias)
