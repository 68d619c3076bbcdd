"""SmolVLA written out for torch.export: lerobot runs its layers by hand."""

from __future__ import annotations

import math
from typing import Any

import torch
from lerobot.policies.common.vla_utils import make_att_2d_masks
from torch import Tensor, nn
from transformers import DynamicCache

from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.policy.export.parts import Feeds, Layout, filled_cache, require_settings
from vla_sae_ros.policy.onnx.names import (
    IN_PREFIX,
    LEFT_ABOVE,
    PREFIX_MASK,
    STATE,
    TIME,
    TOKENS,
    X_T,
    picture,
)


class SmolVLAGraphs:
    """See `policy.export.parts.PolicyGraphs`.

    Args:
        policy: a SmolVLAPolicy.

    Raises:
        ConfigurationError: naming a setting that the graphs would not follow.
    """

    def __init__(self, policy: Any) -> None:
        _require_exportable(policy.config)
        self._model, config = policy.model, policy.config
        self._pictures = [picture(camera) for camera in config.image_features]
        text = self._model.vlm_with_expert.config.text_config
        layers = self._model.vlm_with_expert.num_vlm_layers
        self.layout = Layout(
            picture_size=tuple(reversed(config.resize_imgs_with_padding)),
            picture_fit=LEFT_ABOVE,
            state_place=IN_PREFIX,
            denoising_steps=config.num_steps,
            cache=(layers, text.num_key_value_heads, text.head_dim),
        )

    @property
    def model(self) -> nn.Module:
        module: nn.Module = self._model
        return module

    def embedded(self, feeds: Feeds) -> Tensor:
        model = self._model
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

    def filled(self, embedded: Tensor, mask: Tensor) -> DynamicCache:
        # Pictures and words do not look at the state, which is the last token.
        starts_block = torch.cat([torch.zeros_like(mask[:, 1:]), torch.ones_like(mask[:, :1])], 1)
        seen = make_att_2d_masks(mask, starts_block)
        return filled_cache(self._model.vlm_with_expert, embedded, mask, seen)

    def velocity(self, feeds: Feeds, cache: DynamicCache) -> Tensor:
        velocity: Tensor = self._model.denoise_step(
            feeds[PREFIX_MASK], cache, feeds[X_T], feeds[TIME]
        )
        return velocity


def _require_exportable(config: Any) -> None:
    if config.resize_imgs_with_padding is None:
        raise ConfigurationError(
            complaint("resize_imgs_with_padding of a policy to export", None, "a size")
        )
    if config.prefix_length > 0:
        raise ConfigurationError(
            complaint("prefix_length of a policy to export", config.prefix_length, "0 or less")
        )
    require_settings(config, {"empty_cameras": 0, "adapt_to_pi_aloha": False, "use_cache": True})
