"""One small, random policy of lerobot's own class per family, and what tests know about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from fast_stand_in import stand_in_for_fast
from lerobot.configs import RTCAttentionSchedule
from lerobot.policies.rtc.configuration_rtc import RTCConfig
from torch import Tensor, nn

from vla_sae_ros.policy.families.adapter import PolicyAdapter
from vla_sae_ros.policy.families.chunk import PreviousChunk
from vla_sae_ros.policy.families.registry import adapter_for
from vla_sae_ros.policy.taps.tap import Tap
from vla_sae_ros.policy.tiny.tiny_groot import (
    IMAGE_TOKEN,
    MERGED,
    PATCH,
    build_tiny_groot,
)
from vla_sae_ros.policy.tiny.tiny_pi import build_tiny_pi, write_pi_tokenizer
from vla_sae_ros.policy.tiny.tiny_smolvla import (
    CAMERA_KEYS,
    TinySize,
    build_tiny_smolvla,
    write_vlm_folder,
)
from vla_sae_ros.policy.tiny.tiny_xvla import build_tiny_xvla
from vla_sae_ros.sae import TopKSAE

LAYERS = 3
LANGUAGE, WORDS = 12, 9
"""Language slots of the test batch, and how many of them hold words."""
NO_CAP = float("inf")

Batch = dict[str, Tensor]


@dataclass(frozen=True)
class TinyFamily:
    """A policy, its adapter and an observation."""

    name: str
    policy: nn.Module
    adapter: PolicyAdapter
    batch: Batch
    noise: Tensor
    stacks: dict[str, Any]
    """Kind of site -> lerobot's own `layers`, and `norm`: what gets the last one's output."""

    @property
    def vision(self) -> nn.Module:
        """The vision tower."""
        if self.name == "xvla":
            return self.policy.model.vlm.vision_tower
        if self.name == "smolvla":
            return self.policy.model.vlm_with_expert.get_vlm_model().vision_model
        return self.policy.model.paligemma_with_expert.paligemma.model.vision_tower

    @property
    def entrance(self) -> nn.Module:
        """The module that gets what enters the first backbone layer."""
        first = self.stacks["backbone"].layers[0]
        return first if self.name == "xvla" else first.input_layernorm

    def layer(self, site: str) -> nn.Module:
        kind, number = site.split(".")
        return self.stacks[kind].layers[int(number)]

    def receiver(self, site: str) -> nn.Module:
        """Return the module that gets the residual stream after the site."""
        kind, number = site.split(".")
        stack, following = self.stacks[kind], int(number) + 1
        if following == len(stack.layers):
            return stack.norm
        if self.name == "groot":
            return stack.layers[following]
        if self.name == "xvla":
            layer = stack.layers[following]
            return layer if kind == "backbone" else layer.norm1
        return stack.layers[following].input_layernorm

    def last_addend(self, site: str) -> nn.Module:
        """Return the module whose bias is added to the residual stream after the site's layer."""
        layer = self.layer(site)
        if self.name == "groot" and site.startswith("expert"):
            return layer.ff.net[2]
        if self.name != "xvla":
            return layer.mlp.down_proj
        return layer.final_layer_norm if site.startswith("backbone") else layer.mlp.fc2

    @property
    def decodes(self) -> bool:
        """Whether actions are decoded token by token."""
        return self.name == "pi0_fast"

    def predict(self, batch: Batch | None = None, previous: PreviousChunk | None = None) -> Tensor:
        """Return the actions, or the logits that they were decoded from: they tell more apart."""
        given = dict(batch or self.batch)
        with torch.inference_mode():
            if not self.decodes:
                return self.adapter.predict(given, self.noise, previous)
            head = self.policy.model.paligemma_with_expert.paligemma.lm_head
            decided: list[Tensor] = []
            watch = head.register_forward_hook(
                lambda _module, _args, logits: decided.append(logits[:, -1].clone())
            )
            try:
                self.adapter.predict(given, self.noise, previous)
            finally:
                watch.remove()
            return torch.cat(decided)

    def with_function(
        self,
        site: str,
        function: Callable[[Tensor], Tensor | None],
        previous: PreviousChunk | None = None,
    ) -> Tensor:
        handle = self.adapter.attach(site, function)
        try:
            return self.predict(previous=previous)
        finally:
            handle.remove()

    def tap(self, site: str, pooled: bool = True) -> Tap:
        place = self.adapter.sites[site]
        generator = torch.Generator().manual_seed(5)
        rows = torch.randn(2 * place.width, place.width, generator=generator)
        rows = torch.nn.functional.normalize(rows, dim=-1)
        sae = TopKSAE(
            rows.T.clone(), torch.zeros(len(rows)), rows, torch.zeros(place.width), 8, "layer_norm"
        )
        return Tap(place, sae, pooled)

    def set_rtc(self, on: bool) -> None:
        schedule = RTCAttentionSchedule.ONES
        self.policy.config.rtc_config = (
            RTCConfig(prefix_attention_schedule=schedule, execution_horizon=4) if on else None
        )
        self.policy.init_rtc_processor()
        self.policy.model.rtc_processor = self.policy.rtc_processor


def build_family(name: str, folder: Path, seed: int = 0) -> TinyFamily:
    """Return the family's tiny policy; `folder` may be written to."""
    policy = _build(name, folder, seed)
    policy.eval().requires_grad_(False)
    adapter = adapter_for(name, policy)
    generator = torch.Generator().manual_seed(1)
    noise = torch.randn(1, *adapter.noise_shape, generator=generator)
    batch = a_groot_batch() if name == "groot" else a_batch()
    return TinyFamily(name, policy, adapter, batch, noise, _stacks(name, policy))


def a_groot_batch(padding_id: int = 0) -> Batch:
    """Return what GR00T's preprocessor would hand over: padding, words, two pictures, words."""
    generator = torch.Generator().manual_seed(2)
    side = 2 * MERGED
    padded, patches = LANGUAGE - WORDS, side * side
    picture = torch.full((1, patches // MERGED**2), IMAGE_TOKEN)
    words = torch.randint(3, 250, (1, WORDS), generator=generator)
    padding = torch.full((1, padded), padding_id)
    parts = [padding, words[:, :4], picture, words[:, 4:5], picture, words[:, 5:]]
    tokens = torch.cat(parts, 1)
    pixels = 3 * 2 * PATCH * PATCH
    return {
        "input_ids": tokens,
        "attention_mask": (torch.arange(tokens.shape[1])[None] >= padded).long(),
        "pixel_values": torch.randn(2 * patches, pixels, generator=generator),
        "image_grid_thw": torch.tensor([[1, side, side]] * 2),
        "state": torch.randn(1, 1, 8, generator=generator),
        "embodiment_id": torch.tensor([1]),
    }


def a_batch(cameras: tuple[str, ...] = CAMERA_KEYS, padding_id: int = 0) -> Batch:
    """Return what a preprocessor would hand over; `padding_id` stands in the padded slots."""
    generator = torch.Generator().manual_seed(2)
    batch = {key: torch.rand(1, 3, 40, 60, generator=generator) for key in cameras}
    tokens = torch.randint(3, 250, (1, LANGUAGE), generator=generator)
    tokens[:, WORDS:] = padding_id
    return batch | {
        "observation.state": torch.randn(1, 8, generator=generator),
        "observation.language.tokens": tokens,
        "observation.language.attention_mask": torch.arange(LANGUAGE)[None] < WORDS,
    }


def _build(name: str, folder: Path, seed: int) -> nn.Module:
    if name == "smolvla":
        return _smolvla(folder, seed)
    if name == "groot":
        return build_tiny_groot(folder, seed)
    if name == "pi0_fast":
        write_pi_tokenizer(folder)
        with stand_in_for_fast():
            return build_tiny_pi(name, seed=seed, text_tokenizer_name=str(folder))
    return build_tiny_xvla(seed) if name == "xvla" else build_tiny_pi(name, seed=seed)


def statistics() -> dict[str, dict[str, Tensor]]:
    """Return what normalises the tiny policies' states and actions."""
    values = {"mean": 0.0, "std": 1.0, "q01": -9.0, "q99": 9.0}
    return {
        key: {name: torch.full((size,), value) for name, value in values.items()}
        for key, size in (("observation.state", 8), ("action", 7))
    }


def _smolvla(folder: Path, seed: int) -> nn.Module:
    size = TinySize(
        image_size=64,
        patch_size=16,
        vision_width=48,
        vision_layers=1,
        text_width=48,
        text_layers=LAYERS,
        heads=3,
        mlp_width=64,
        chunk=6,
        denoising_steps=3,
        vocabulary=300,
    )
    write_vlm_folder(folder / "vlm", ["pick up the butter"], size)
    policy = build_tiny_smolvla(folder / "vlm", size, seed)
    for parameter in policy.parameters():
        if parameter.ndim > 1:  # a start as wide as the pi families', so that effects are as large
            torch.nn.init.normal_(parameter, std=parameter.shape[-1] ** -0.5)
    return policy


def _stacks(name: str, policy: nn.Module) -> dict[str, Any]:
    if name == "groot":
        model = policy._groot_model
        head, layers = model.action_head, model.backbone.language_model.layers
        return {
            "backbone": SimpleNamespace(layers=layers, norm=head.vlln),
            "expert": SimpleNamespace(
                layers=head.model.transformer_blocks, norm=head.model.norm_out
            ),
        }
    if name == "xvla":
        encoder, expert = policy.model.vlm.language_model.encoder, policy.model.transformer
        return {
            "backbone": SimpleNamespace(layers=encoder.layers, norm=expert.vlm_proj),
            "expert": SimpleNamespace(layers=expert.blocks, norm=expert.norm),
        }
    if name == "smolvla":
        model = policy.model.vlm_with_expert
        return {"backbone": model.get_vlm_model().text_model, "expert": model.lm_expert}
    model = policy.model.paligemma_with_expert
    backbone = model.paligemma.model.language_model
    if name == "pi0_fast":
        return {"backbone": backbone, "decode": backbone}
    return {"backbone": backbone, "expert": model.gemma_expert.model}
