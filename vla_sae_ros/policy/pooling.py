"""Choosing and averaging the tokens that an SAE reads."""

from __future__ import annotations

import torch
from torch import Tensor

from vla_sae_ros.policy.adapter import TokenMasks


def union(masks: TokenMasks, groups: tuple[str, ...]) -> Tensor:
    """Return a (B, T) bool mask of the real tokens of these groups."""
    return torch.stack([masks[group] for group in groups]).any(0)


def mean_weights(mask: Tensor) -> Tensor:
    """Return the weights (B, T) float32 with which `weighted_mean` averages the tokens of mask."""
    weight = mask.to(torch.float32)
    return weight / weight.sum(1, keepdim=True)


def weighted_mean(x: Tensor, weights: Tensor) -> Tensor:
    """Return the mean (B, d) of x (B, T, d), float32, over tokens with weights (B, T).

    Serving and collecting both pool here: an SAE must read in service what it was trained on.
    """
    return torch.bmm(weights.unsqueeze(1), x).squeeze(1)
