"""pi0 and pi0.5 written out for torch.export."""

from __future__ import annotations

from typing import Any

import torch
from lerobot.policies.common.vla_utils import make_att_2d_masks, prepare_attention_masks_4d
from torch import Tensor, nn
from transformers import DynamicCache

from vla_sae_ros.policy.export.parts import Feeds, Layout, filled_cache, require_settings
from vla_sae_ros.policy.onnx.names import (
    ALL_ROUND,
    IN_PROMPT,
    IN_SUFFIX,
    PREFIX_MASK,
    STATE,
    TIME,
    TOKENS,
    X_T,
    picture,
)


class Pi0Graphs:
    """See `policy.export.parts.PolicyGraphs`.

    Args:
        policy: a PI0Policy or PI05Policy.

    Raises:
        ConfigurationError: naming a setting that the graphs would not follow.
    """

    def __init__(self, policy: Any) -> None:
        config = policy.config
        require_settings(config, {"empty_cameras": 0, "use_relative_actions": False})
        self._model = policy.model
        self._pictures = [picture(camera) for camera in config.image_features]
        text = self._model.paligemma_with_expert.paligemma.config.text_config
        self.layout = Layout(
            picture_size=(config.image_resolution[0], config.image_resolution[1]),
            picture_fit=ALL_ROUND,
            state_place=IN_SUFFIX if policy.name == "pi0" else IN_PROMPT,
            denoising_steps=config.num_inference_steps,
            cache=(text.num_hidden_layers, text.num_key_value_heads, text.head_dim),
        )

    @property
    def model(self) -> nn.Module:
        module: nn.Module = self._model
        return module

    def embedded(self, feeds: Feeds) -> Tensor:
        both = self._model.paligemma_with_expert
        seen = [both.embed_image(feeds[name]) for name in self._pictures]
        return torch.cat([*seen, both.embed_language_tokens(feeds[TOKENS])], dim=1)

    def filled(self, embedded: Tensor, mask: Tensor) -> DynamicCache:
        both = self._model.paligemma_with_expert
        # lerobot sets this before every prefix, too: its masks are made for this attention.
        both.paligemma.model.language_model.config._attn_implementation = "eager"
        seen = make_att_2d_masks(mask, torch.zeros_like(mask))
        return filled_cache(both, embedded, mask, prepare_attention_masks_4d(seen))

    def velocity(self, feeds: Feeds, cache: DynamicCache) -> Tensor:
        state = {"state": feeds[STATE]} if self.layout.state_place == IN_SUFFIX else {}
        velocity: Tensor = self._model.denoise_step(
            prefix_pad_masks=feeds[PREFIX_MASK],
            past_key_values=cache,
            x_t=feeds[X_T],
            timestep=feeds[TIME],
            **state,
        )
        return velocity
