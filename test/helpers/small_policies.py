"""Small, random policies of lerobot's own classes that have no adapter of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from lerobot.configs.types import FeatureType, PolicyFeature
from lerobot.policies.factory import (
    get_policy_class,
    make_policy_config,
    make_pre_post_processors,
)
from torch import nn

from vla_sae_ros.policy.tiny.tiny_smolvla import CAMERA_KEYS

CHUNK = 8
SETTINGS: dict[str, dict[str, Any]] = {
    "act": {
        "chunk_size": CHUNK,
        "n_action_steps": CHUNK,
        "dim_model": 32,
        "n_heads": 4,
        "dim_feedforward": 48,
        "n_encoder_layers": 2,
        "n_vae_encoder_layers": 1,
        "latent_dim": 8,
        "pretrained_backbone_weights": None,
    },
    "diffusion": {
        "horizon": CHUNK,
        "n_action_steps": 4,
        "down_dims": (16, 24),
        "n_groups": 4,
        "diffusion_step_embed_dim": 16,
        "num_train_timesteps": 3,
        "pretrained_backbone_weights": None,
        "resize_shape": (64, 64),
    },
    "vqbet": {
        "n_obs_steps": 2,
        "n_action_pred_token": 2,
        "action_chunk_size": CHUNK,
        "gpt_n_layer": 2,
        "gpt_input_dim": 32,
        "gpt_n_head": 2,
        "gpt_hidden_dim": 32,
        "gpt_output_dim": 32,
        "vqvae_n_embed": 4,
        "vqvae_embedding_dim": 16,
        "vqvae_enc_hidden_dim": 16,
        "spatial_softmax_num_keypoints": 4,
        "pretrained_backbone_weights": None,
        "crop_shape": (64, 64),
    },
}
"""Policy type -> what makes it small."""


def save_small(kind: str, folder: Path, cameras: tuple[str, ...] = CAMERA_KEYS[:1]) -> Path:
    """Write a checkpoint as lerobot does, of a random policy: state (8,), action (7,)."""
    torch.manual_seed(0)
    picture = PolicyFeature(FeatureType.VISUAL, (3, 64, 64))
    config = make_policy_config(
        kind,
        device="cpu",
        push_to_hub=False,
        input_features={
            **dict.fromkeys(cameras, picture),
            "observation.state": PolicyFeature(FeatureType.STATE, (8,)),
        },
        output_features={"action": PolicyFeature(FeatureType.ACTION, (7,))},
        **SETTINGS[kind],
    )
    policy = get_policy_class(kind)(config)
    for parameter in policy.parameters():
        if parameter.ndim > 1:
            nn.init.normal_(parameter, std=parameter[0].numel() ** -0.5)
    policy.save_pretrained(folder)
    for pipeline in make_pre_post_processors(config, dataset_stats=_statistics(cameras)):
        pipeline.save_pretrained(folder)
    return folder


def _statistics(cameras: tuple[str, ...]) -> dict[str, dict[str, torch.Tensor]]:
    values = {"mean": 0.0, "std": 1.0, "min": -1.0, "max": 1.0}
    numbers = {
        key: {name: torch.full((size,), value) for name, value in values.items()}
        for key, size in (("observation.state", 8), ("action", 7))
    }
    pictures = {
        key: {name: torch.full((3, 1, 1), value) for name, value in values.items()}
        for key in cameras
    }
    return numbers | pictures
