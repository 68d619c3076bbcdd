"""Folding numbers of the data set into an autoencoder's weights, which changes no code.

In float64: what float32 loses here, every code would lose.
"""

from __future__ import annotations

import torch
from torch import Tensor

from vla_sae_ros.sae.shapes import PerDimension


def fold_decoder_norm(weights: dict[str, Tensor]) -> None:
    """Make decoder rows unit, so that codes are those of SAELens' `rescale_acts_by_decoder_norm`.

    weights: W_enc (d, F), b_enc (F,), W_dec (F, d); changed in place. A threshold is compared
    with rescaled pre-activations already.
    """
    _in_float64(weights)
    norm = weights["W_dec"].norm(dim=-1).clamp(min=1e-8)
    weights["W_dec"] = weights["W_dec"] / norm.unsqueeze(1)
    weights["W_enc"] = weights["W_enc"] * norm
    weights["b_enc"] = weights["b_enc"] * norm


def fold_scaling(weights: dict[str, Tensor], factor: float) -> None:
    """Make an autoencoder of x out of one of factor * x (SAELens `expected_average_only_in`)."""
    _in_float64(weights)
    weights["W_enc"] = weights["W_enc"] * factor
    weights["W_dec"] = weights["W_dec"] / factor
    weights["b_dec"] = weights["b_dec"] / factor


def fold_standardisation(
    weights: dict[str, Tensor], mean: PerDimension, deviation: PerDimension
) -> None:
    """Make an autoencoder of x out of one of (x - mean) / deviation, each (d,).

    The result is one with `apply_b_dec_to_input`: the encoder subtracts b_dec first. So a dimension
    whose deviation is next to nothing keeps its digits; as a part of b_enc, its mean over that
    deviation would leave none to the others. What float32 rounds off b_dec is in b_enc.
    """
    _in_float64(weights)
    mean, deviation = mean.to(torch.float64), deviation.to(torch.float64)
    bias = (weights["b_dec"] * deviation + mean).to(torch.float32).to(torch.float64)
    weights["W_enc"] = weights["W_enc"] / deviation.unsqueeze(1)
    weights["b_enc"] = weights["b_enc"] + (bias - mean) @ weights["W_enc"]
    weights["W_dec"] = weights["W_dec"] * deviation
    weights["b_dec"] = bias


def _in_float64(weights: dict[str, Tensor]) -> None:
    weights.update({name: weight.to(torch.float64) for name, weight in weights.items()})
