"""Choosing and averaging the tokens that an SAE reads."""

from __future__ import annotations

import torch
from torch import Tensor

from vla_sae_ros.policy.adapter import TokenMasks


def union(masks: TokenMasks, groups: tuple[str, ...]) -> Tensor:
    """Return a (B, T) bool mask of the real tokens of these groups."""
    return torch.stack([masks[group] for group in groups]).any(0)


def mean_over(x: Tensor, mask: Tensor) -> Tensor:
    """Return the mean (B, d) of x (B, T, d) over the tokens of mask (B, T)."""
    weight = mask.to(x.dtype)[..., None]
    return (x * weight).sum(1) / weight.sum(1)
