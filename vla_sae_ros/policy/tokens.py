"""The tokens of one inference: which of them are real, by group, and how to average them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import torch
from torch import Tensor

from vla_sae_ros.policy.adapter import TokenMasks
from vla_sae_ros.policy.pooling import mean_weights, union

Groups = tuple[str, ...]


class Tokens:
    """The tokens that pass the sites of one stack in one inference; everything is made once.

    Args:
        masks: gives token group -> (B, T) bool; called when the first mask is needed.
    """

    def __init__(self, masks: Callable[[], TokenMasks]) -> None:
        self._make = masks
        self._masks: dict[Groups, Tensor] = {}
        self._weights: dict[Groups, Tensor] = {}
        self._scopes: dict[tuple[Groups, ...], Tensor] = {}

    @cached_property
    def _by_group(self) -> TokenMasks:
        return self._make()

    def mask(self, groups: Groups) -> Tensor:
        """Return a (B, T) bool mask of the real tokens of these groups."""
        if groups not in self._masks:
            self._masks[groups] = union(self._by_group, groups)
        return self._masks[groups]

    def mean_weights(self, groups: Groups) -> Tensor:
        """Return the (B, 1, T) float32 weights that average the real tokens of these groups."""
        if groups not in self._weights:
            self._weights[groups] = mean_weights(self.mask(groups))
        return self._weights[groups]

    def scopes(self, scopes: tuple[Groups, ...]) -> Tensor:
        """Return (B, T, n) float32: 1 where a token lies in each of n scopes, 0 elsewhere.

        Scopes that are all the same give (B, T, 1), which multiplies alike.
        """
        if scopes not in self._scopes:
            different = scopes if len(set(scopes)) > 1 else scopes[:1]
            stacked = torch.stack([self.mask(groups) for groups in different], dim=-1)
            self._scopes[scopes] = stacked.to(torch.float32)
        return self._scopes[scopes]
