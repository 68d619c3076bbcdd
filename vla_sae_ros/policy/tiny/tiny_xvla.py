"""A small X-VLA, of lerobot's own class, built without any download."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from lerobot.configs.types import FeatureType, PolicyFeature
from lerobot.policies.xvla.configuration_xvla import XVLAConfig
from lerobot.policies.xvla.modeling_xvla import XVLAPolicy
from lerobot.policies.xvla.processor_xvla import make_xvla_pre_post_processors
from torch import Tensor

from vla_sae_ros.policy.checkpoints.checkpoint_files import name_relatively
from vla_sae_ros.policy.tiny.tiny_smolvla import ACTION_DIM, CAMERA_KEYS, PICTURE_SIZE, STATE_DIM
from vla_sae_ros.policy.tiny.tiny_tokenizer import train_tokenizer

TOKENIZER_FOLDER = "tokenizer"
SPECIAL_TOKENS = {"bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>"}
WIDTH, EXPERT_WIDTH, LAYERS, VOCABULARY = 32, 24, 3, 300
VISION = {
    "embed_dim": [8, 8, 16, 16],
    "depths": [1, 1, 1, 1],
    "num_heads": [2, 2, 2, 2],
    "num_groups": [2, 2, 2, 2],
    "window_size": 2,
    "projection_dim": WIDTH,
    "max_position_embeddings": 20,
}
TEXT = {
    "d_model": WIDTH,
    "encoder_layers": LAYERS,
    "encoder_attention_heads": 4,
    "encoder_ffn_dim": 48,
    "decoder_layers": 1,
    "decoder_attention_heads": 4,
    "decoder_ffn_dim": 48,
    "vocab_size": VOCABULARY,
    "max_position_embeddings": 128,
    "pad_token_id": 1,
}


def build_tiny_xvla(seed: int = 0, **settings: Any) -> XVLAPolicy:
    """Return a randomly initialised policy; `settings` go to its configuration."""
    torch.manual_seed(seed)
    policy = XVLAPolicy(tiny_xvla_config(**settings))
    for parameter in policy.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=parameter[0].numel() ** -0.5)
    return policy.eval()


def tiny_xvla_config(**settings: Any) -> XVLAConfig:
    """Return the policy's configuration: two cameras, state (8,), action (7,)."""
    picture = PolicyFeature(type=FeatureType.VISUAL, shape=(3, PICTURE_SIZE, PICTURE_SIZE))
    wanted: dict[str, Any] = {
        "device": "cpu",
        "push_to_hub": False,
        "florence_config": {"vision_config": VISION, "text_config": TEXT},
        "input_features": {
            **dict.fromkeys(CAMERA_KEYS, picture),
            "observation.state": PolicyFeature(type=FeatureType.STATE, shape=(STATE_DIM,)),
        },
        "output_features": {"action": PolicyFeature(type=FeatureType.ACTION, shape=(ACTION_DIM,))},
        "action_mode": "auto",
        "chunk_size": 6,
        "n_action_steps": 6,
        "num_denoising_steps": 3,
        "hidden_size": EXPERT_WIDTH,
        "depth": LAYERS,
        "num_heads": 4,
        "num_domains": 2,
        "len_soft_prompts": 2,
        "max_state_dim": STATE_DIM,
        "max_action_dim": ACTION_DIM + 1,
        "max_len_seq": 160,
        "tokenizer_max_length": 48,
        "resize_imgs_with_padding": (64, 64),
    }
    return XVLAConfig(**(wanted | settings))


def save_tiny_xvla(policy: XVLAPolicy, stats: dict[str, dict[str, Tensor]], folder: Path) -> None:
    """Write a checkpoint folder, with its tokenizer, that `load_policy` loads offline."""
    tokenizer = train_tokenizer(["pick up the butter"], VOCABULARY, SPECIAL_TOKENS)
    tokenizer.save_pretrained(folder / TOKENIZER_FOLDER)
    policy.config.tokenizer_name = str(folder / TOKENIZER_FOLDER)
    policy.save_pretrained(folder)
    for pipeline in make_xvla_pre_post_processors(policy.config, stats):
        pipeline.save_pretrained(folder)
    name_relatively(folder, {"tokenizer_name": TOKENIZER_FOLDER}, TOKENIZER_FOLDER)
