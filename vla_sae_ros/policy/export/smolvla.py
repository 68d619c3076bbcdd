"""SmolVLA as two modules that torch.export can follow: the prefix, and one denoising step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from lerobot.policies.common.vla_utils import make_att_2d_masks
from torch import Tensor, nn
from transformers import DynamicCache

from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.policy.export.graph_tap import GraphTap
from vla_sae_ros.policy.onnx.names import (
    PREFIX_MASK,
    STATE,
    TIME,
    TOKEN_MASK,
    TOKENS,
    X_T,
    caches,
    picture,
)

Feeds = dict[str, Tensor]


class Prefix(nn.Module):
    """Pictures, instruction and state -> the mask of the prefix, keys, values, the taps' outputs.

    Args:
        policy: a SmolVLAPolicy.
        taps: on backbone sites, attached to the policy.
    """

    model: Any

    def __init__(self, policy: Any, taps: Sequence[GraphTap]) -> None:
        super().__init__()
        self.model, self.modules_of_taps = policy.model, nn.ModuleList(taps)
        self._taps = tuple(taps)
        self._pictures = [picture(camera) for camera in policy.config.image_features]

    def forward(self, feeds: Feeds) -> tuple[Tensor, ...]:
        for tap in self._taps:
            tap.begin(feeds)
        embedded = self._embedded(feeds)
        mask = self._mask(feeds[TOKEN_MASK], embedded.shape[1] - feeds[TOKENS].shape[1])
        # Pictures and words do not look at the state, which is the last token.
        starts_block = torch.cat([torch.zeros_like(mask[:, 1:]), torch.ones_like(mask[:, :1])], 1)
        _, cache = self.model.vlm_with_expert.forward(
            attention_mask=make_att_2d_masks(mask, starts_block),
            position_ids=torch.cumsum(mask, dim=1) - 1,
            past_key_values=None,
            inputs_embeds=[embedded, None],
            use_cache=True,
        )
        return (
            mask,
            *(layer.keys for layer in cache.layers),
            *(layer.values for layer in cache.layers),
            *(output for tap in self._taps for output in tap.outputs()),
        )

    def _embedded(self, feeds: Feeds) -> Tensor:
        model = self.model
        vlm, parts = model.vlm_with_expert, []
        special = model.config.add_image_special_tokens
        for name in self._pictures:
            if special:
                parts.append(vlm.embed_language_tokens(model.global_image_start_token)[None])
            seen = vlm.embed_image(feeds[name])
            parts.append(seen * math.sqrt(seen.shape[-1]))
            if special:
                parts.append(vlm.embed_language_tokens(model.image_end_token)[None])
        words = vlm.embed_language_tokens(feeds[TOKENS])
        parts += [words * math.sqrt(words.shape[-1]), model.state_proj(feeds[STATE])[:, None]]
        return torch.cat(parts, dim=1)

    def _mask(self, token_mask: Tensor, others: int) -> Tensor:
        real = torch.ones((1, others), dtype=torch.bool)
        return torch.cat([real[:, :-1], token_mask, real[:, :1]], dim=1)


class Step(nn.Module):
    """x_t, t and what the prefix left -> the velocity, and the taps' outputs.

    Args:
        policy: a SmolVLAPolicy.
        taps: on expert sites, attached to the policy.
    """

    model: Any

    def __init__(self, policy: Any, taps: Sequence[GraphTap]) -> None:
        super().__init__()
        self.model, self.modules_of_taps = policy.model, nn.ModuleList(taps)
        self._taps = tuple(taps)
        self._layers = policy.model.vlm_with_expert.num_vlm_layers

    def forward(self, feeds: Feeds) -> tuple[Tensor, ...]:
        for tap in self._taps:
            tap.begin(feeds)
        cache, names = DynamicCache(), caches(self._layers)
        for layer in range(self._layers):
            cache.update(feeds[names[layer]], feeds[names[self._layers + layer]], layer)
        velocity = self.model.denoise_step(feeds[PREFIX_MASK], cache, feeds[X_T], feeds[TIME])
        return velocity, *(output for tap in self._taps for output in tap.outputs())


def require_exportable(policy: Any) -> None:
    """Raise ConfigurationError naming a setting that the exported graphs would not follow."""
    config = policy.config
    refused = {
        "empty_cameras": (config.empty_cameras, 0),
        "adapt_to_pi_aloha": (config.adapt_to_pi_aloha, False),
        "use_cache": (config.use_cache, True),
        "prefix_length": (config.prefix_length, "0 or less"),
        "rtc_config": (config.rtc_config, None),
    }
    if config.resize_imgs_with_padding is None:
        raise ConfigurationError(
            complaint("resize_imgs_with_padding of a policy to export", None, "a size")
        )
    for name, (got, allowed) in refused.items():
        if (got > 0) if name == "prefix_length" else got != allowed:
            raise ConfigurationError(complaint(f"{name} of a policy to export", got, allowed))
