"""Choosing and averaging the tokens that an SAE reads."""

from __future__ import annotations

from functools import reduce

import torch
from torch import Tensor

from vla_sae_ros.policy.families.adapter import TokenMasks
from vla_sae_ros.policy.taps.shapes import Pooled, Stream, TokenMask, TokenWeights
from vla_sae_ros.sae.shapes import PerDimension


def union(masks: TokenMasks, groups: tuple[str, ...]) -> TokenMask:
    """Return a (B, T) bool mask of the real tokens of these groups."""
    return reduce(torch.bitwise_or, [masks[group] for group in groups])


def float32(x: Tensor) -> Tensor:
    """Return x in float32; not even an operation that does nothing where it is already."""
    return x if x.dtype is torch.float32 else x.to(torch.float32)


def mean_weights(mask: TokenMask) -> TokenWeights:
    """Return the weights (B, 1, T) float32 with which `weighted_mean` averages tokens of a mask."""
    weight = mask.to(torch.float32)
    return (weight / weight.sum(1, keepdim=True)).unsqueeze(1)


def weighted_mean(x: Stream, weights: TokenWeights) -> Pooled:
    """Return the mean (B, d) of x (B, T, d), float32, over tokens with weights (B, 1, T).

    Serving and collecting both pool here: an SAE must read in service what it was trained on.
    """
    return torch.bmm(weights, x).squeeze(1)


def weighted_mean_of_one(x: Stream, weights: TokenWeights) -> PerDimension:
    """Return `weighted_mean` of a batch of one, as (d,)."""
    return torch.bmm(weights, x).view(-1)
