"""The tokens of one inference: which of them are real, by group, and how to average them.

A small policy feels every tensor operation. What is made of masks is made when somebody needs it,
and once for as long as the adapter hands over the very same masks: those of an action expert never
change, those of a prompt may change with each instruction.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import torch
from torch import Tensor

from vla_sae_ros.policy.families.adapter import TokenMasks
from vla_sae_ros.policy.taps.pooling import mean_weights, union
from vla_sae_ros.policy.taps.shapes import TokenMask, TokenScopes, TokenWeights

Groups = tuple[str, ...]
Made = dict[tuple[str, tuple[object, ...]], Tensor]
"""What was made of some masks: (what, of which groups or scopes) -> it."""


class TokenMemory:
    """What was made of the masks that a stack had last."""

    def __init__(self) -> None:
        self._masks: TokenMasks = {}
        self._made: Made = {}

    def of(self, masks: TokenMasks) -> Made:
        """Return what was made of these tensors up to now, to be added to; empty for new ones."""
        if masks.keys() != self._masks.keys() or any(
            masks[group] is not mask for group, mask in self._masks.items()
        ):
            self._masks, self._made = masks, {}
        return self._made


class Tokens:
    """The tokens that pass the sites of one stack in one inference; everything is made once.

    Args:
        masks: gives token group -> (B, T) bool; called when the first mask is needed.
        memory: of the stack.
    """

    def __init__(self, masks: Callable[[], TokenMasks], memory: TokenMemory | None = None) -> None:
        self._make = masks
        self._memory = memory or TokenMemory()

    @cached_property
    def _by_group(self) -> TokenMasks:
        return self._make()

    @cached_property
    def _made(self) -> Made:
        return self._memory.of(self._by_group)

    def mask(self, groups: Groups) -> TokenMask:
        """Return a (B, T) bool mask of the real tokens of these groups."""
        key = ("mask", groups)
        if key not in self._made:
            self._made[key] = union(self._by_group, groups)
        return self._made[key]

    def mean_weights(self, groups: Groups) -> TokenWeights:
        """Return the (B, 1, T) float32 weights that average the real tokens of these groups."""
        key = ("mean weights", groups)
        if key not in self._made:
            self._made[key] = mean_weights(self.mask(groups))
        return self._made[key]

    def scopes(self, scopes: tuple[Groups, ...]) -> TokenScopes:
        """Return (B, T, n) float32: 1 where a token lies in each of n scopes, 0 elsewhere.

        Scopes that are all the same give (B, T, 1), which multiplies alike.
        """
        key = ("scopes", scopes)
        if key not in self._made:
            different = scopes if len(set(scopes)) > 1 else scopes[:1]
            stacked = torch.stack([self.mask(groups) for groups in different], dim=-1)
            self._made[key] = stacked.to(torch.float32)
        return self._made[key]
