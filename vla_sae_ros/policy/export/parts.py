"""What is exported of any family: the prefix, and one denoising step, with the taps in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from transformers import DynamicCache

from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.policy.export.graph_tap import GraphTap
from vla_sae_ros.policy.onnx.names import IN_PREFIX, IN_SUFFIX, TOKEN_MASK, TOKENS, caches

Feeds = dict[str, Tensor]
"""A graph's inputs by the names in `policy.onnx.names`."""


@dataclass(frozen=True)
class Layout:
    """The shapes of a policy's graphs.

    Attributes:
        picture_size: (height, width) of the pictures in the graph.
        picture_fit: where their padding goes, one of `policy.onnx.names.PICTURE_FITS`.
        state_place: where the state goes in, one of `policy.onnx.names.STATE_PLACES`.
        denoising_steps: per chunk.
        cache: (layers, heads, width of a head) of the backbone's keys and values.
    """

    picture_size: tuple[int, int]
    picture_fit: str
    state_place: str
    denoising_steps: int
    cache: tuple[int, int, int]

    @property
    def tokens_after_words(self) -> int:
        """How many tokens of the prefix stand after the instruction's: the state's, or none."""
        return int(self.state_place == IN_PREFIX)

    @property
    def tokens_before_actions(self) -> int:
        """How many tokens the expert has before the actions': the state's, or none."""
        return int(self.state_place == IN_SUFFIX)


class PolicyGraphs(Protocol):
    """One family's policy, written so that torch.export can follow it, for a batch of one."""

    @property
    def model(self) -> nn.Module:
        """What holds the weights."""

    @property
    def layout(self) -> Layout:
        """The shapes of the graphs."""

    def embedded(self, feeds: Feeds) -> Tensor:
        """Return the prefix (1, T, d) of pictures, words and whatever else the family has."""

    def filled(self, embedded: Tensor, mask: Tensor) -> DynamicCache:
        """Run the backbone over the prefix, of which mask (1, T) is real; return keys, values."""

    def velocity(self, feeds: Feeds, cache: DynamicCache) -> Tensor:
        """Return the velocity (1, H, A_max) at x_t and t."""


class _Part(nn.Module):
    """A graph with the taps that are in it; they are attached to the policy by the caller."""

    def __init__(self, graphs: PolicyGraphs, taps: Sequence[GraphTap]) -> None:
        super().__init__()
        self.model, self.modules_of_taps = graphs.model, nn.ModuleList(taps)
        self._graphs, self._taps = graphs, tuple(taps)

    def forward(self, feeds: Feeds) -> tuple[Tensor, ...]:
        for tap in self._taps:
            tap.begin(feeds)
        computed = self._compute(feeds)
        return *computed, *(output for tap in self._taps for output in tap.outputs())

    def _compute(self, feeds: Feeds) -> tuple[Tensor, ...]:
        raise NotImplementedError


class Prefix(_Part):
    """Pictures, instruction and state -> the mask of the prefix, keys, values, the taps' outputs.

    taps: on backbone sites.
    """

    def _compute(self, feeds: Feeds) -> tuple[Tensor, ...]:
        embedded = self._graphs.embedded(feeds)
        after = self._graphs.layout.tokens_after_words
        before = embedded.shape[1] - feeds[TOKENS].shape[1] - after
        real = torch.ones((1, before + after), dtype=torch.bool)
        mask = torch.cat([real[:, :before], feeds[TOKEN_MASK], real[:, before:]], dim=1)
        layers = self._graphs.filled(embedded, mask).layers
        return mask, *(layer.keys for layer in layers), *(layer.values for layer in layers)


class Step(_Part):
    """x_t, t and what the prefix left -> the velocity, and the taps' outputs.

    taps: on expert sites.
    """

    def _compute(self, feeds: Feeds) -> tuple[Tensor, ...]:
        cache, layers = DynamicCache(), self._graphs.layout.cache[0]
        names = caches(layers)
        for layer in range(layers):
            cache.update(feeds[names[layer]], feeds[names[layers + layer]], layer)
        return (self._graphs.velocity(feeds, cache),)


def filled_cache(both: Any, embedded: Tensor, mask: Tensor, attention: Tensor) -> DynamicCache:
    """Run the backbone of `both` stacks over the prefix; return its keys and values.

    Args:
        both: lerobot's module of backbone and expert.
        embedded: prefix (1, T, d).
        mask: (1, T) bool, which tokens are real.
        attention: which token sees which, as `both` takes it.
    """
    _, cache = both.forward(
        attention_mask=attention,
        position_ids=torch.cumsum(mask, dim=1) - 1,
        past_key_values=None,
        inputs_embeds=[embedded, None],
        use_cache=True,
    )
    return cache


def require_settings(config: Any, allowed: dict[str, Any]) -> None:
    """Raise ConfigurationError naming a setting that the exported graphs would not follow.

    Real-time chunking is one of them where it is on.
    """
    rtc = config.rtc_config
    if rtc is not None and rtc.enabled:
        raise ConfigurationError(
            complaint("rtc_config of a policy to export", rtc, "none, or one with enabled: false")
        )
    for name, value in allowed.items():
        got = getattr(config, name)
        if got != value:
            raise ConfigurationError(complaint(f"{name} of a policy to export", got, value))
