"""Folding numbers of the data set into an autoencoder's weights, which changes no code."""

from __future__ import annotations

import torch
from torch import Tensor


def fold_decoder_norm(weights: dict[str, Tensor]) -> None:
    """Make decoder rows unit, so that codes are those of SAELens' `rescale_acts_by_decoder_norm`.

    weights: W_enc (d, F), b_enc (F,), W_dec (F, d); changed in place. A threshold is compared
    with rescaled pre-activations already.
    """
    norm = weights["W_dec"].norm(dim=-1).clamp(min=1e-8)
    weights["W_dec"] = weights["W_dec"] / norm.unsqueeze(1)
    weights["W_enc"] = weights["W_enc"] * norm
    weights["b_enc"] = weights["b_enc"] * norm


def fold_scaling(weights: dict[str, Tensor], factor: float) -> None:
    """Make an autoencoder of x out of one of factor * x (SAELens `expected_average_only_in`)."""
    weights["W_enc"] = weights["W_enc"] * factor
    weights["W_dec"] = weights["W_dec"] / factor
    weights["b_dec"] = weights["b_dec"] / factor


def fold_standardisation(weights: dict[str, Tensor], mean: Tensor, deviation: Tensor) -> None:
    """Make an autoencoder of x out of one of (x - mean) / deviation, each (d,).

    The result is without `apply_b_dec_to_input`: its b_dec is not what the encoder subtracts.
    """
    weights["W_enc"] = weights["W_enc"] / deviation.unsqueeze(1)
    weights["b_enc"] = weights["b_enc"] - torch.mv(weights["W_enc"].T, mean)
    weights["W_dec"] = weights["W_dec"] * deviation
    weights["b_dec"] = weights["b_dec"] * deviation + mean
