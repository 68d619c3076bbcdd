"""A small GR00T N1.7, of lerobot's and transformers' own classes, built without any download."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from lerobot.configs.types import FeatureType, PolicyFeature
from lerobot.policies.groot.configuration_groot import GrootConfig
from lerobot.policies.groot.groot_n1_7 import GR00TN17, GR00TN17Config
from lerobot.policies.groot.modeling_groot import GrootPolicy
from transformers import Qwen3VLConfig

from vla_sae_ros.policy.tiny.tiny_smolvla import ACTION_DIM, CAMERA_KEYS, PICTURE_SIZE, STATE_DIM

WIDTH, EXPERT_WIDTH, LAYERS, HORIZON, STEPS = 32, 24, 3, 6, 3
IMAGE_TOKEN, VOCABULARY, PATCH, MERGED = 299, 300, 4, 2
TEXT = {
    "hidden_size": WIDTH,
    "intermediate_size": 48,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "vocab_size": VOCABULARY,
    "rope_scaling": {
        "mrope_interleaved": True,
        "mrope_section": [4, 2, 2],
        "rope_type": "default",
    },
}
VISION = {
    "depth": 2,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_heads": 2,
    "patch_size": PATCH,
    "spatial_merge_size": MERGED,
    "temporal_patch_size": 2,
    "out_hidden_size": WIDTH,
    "deepstack_visual_indexes": [0, 1],
    "num_position_embeddings": 16,
}
BLOCK = {"positional_embeddings": None, "num_attention_heads": 2, "final_dropout": True}


def build_tiny_groot(folder: Path, seed: int = 0, **settings: Any) -> GrootPolicy:
    """Return a randomly initialised policy; `settings` go to its configuration.

    lerobot's class reads its base model from a folder: it is written into `folder`.
    """
    torch.manual_seed(seed)
    Qwen3VLConfig(
        image_token_id=IMAGE_TOKEN,
        video_token_id=298,
        vision_start_token_id=297,
        vision_end_token_id=296,
        tie_word_embeddings=True,
        text_config=TEXT,
        vision_config=VISION,
    ).save_pretrained(folder / "qwen")
    GR00TN17(_base_config(folder / "qwen"), load_backbone_weights=False).save_pretrained(
        folder / "base"
    )
    policy = GrootPolicy(_config(folder / "base", **settings))
    for name, parameter in policy.named_parameters():
        if parameter.ndim == 3 and name.endswith(".W"):  # a weight (in, out) per robot
            torch.nn.init.normal_(parameter, std=parameter.shape[1] ** -0.5)
        elif parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=parameter[0].numel() ** -0.5)
    return policy.eval()


def _base_config(qwen: Path) -> GR00TN17Config:
    return GR00TN17Config(
        model_name=str(qwen),
        dtype="float32",
        backbone_embedding_dim=WIDTH,
        select_layer=LAYERS,
        max_state_dim=STATE_DIM,
        max_action_dim=ACTION_DIM + 1,
        action_horizon=HORIZON,
        hidden_size=EXPERT_WIDTH,
        input_embedding_dim=EXPERT_WIDTH,
        max_num_embodiments=2,
        num_inference_timesteps=STEPS,
        diffusion_model_cfg={
            **BLOCK,
            "num_layers": LAYERS,
            "attention_head_dim": EXPERT_WIDTH // 2,
            "norm_type": "ada_norm",
            "output_dim": EXPERT_WIDTH,
            "interleave_self_attention": True,
        },
        vl_self_attention_cfg={**BLOCK, "num_layers": 1, "attention_head_dim": WIDTH // 2},
    )


def _config(base: Path, **settings: Any) -> GrootConfig:
    picture = PolicyFeature(type=FeatureType.VISUAL, shape=(3, PICTURE_SIZE, PICTURE_SIZE))
    wanted: dict[str, Any] = {
        "base_model_path": str(base),
        "device": "cpu",
        "push_to_hub": False,
        "input_features": {
            **dict.fromkeys(CAMERA_KEYS, picture),
            "observation.state": PolicyFeature(type=FeatureType.STATE, shape=(STATE_DIM,)),
        },
        "output_features": {"action": PolicyFeature(type=FeatureType.ACTION, shape=(ACTION_DIM,))},
        "chunk_size": HORIZON,
        "n_action_steps": HORIZON,
        "max_state_dim": STATE_DIM,
        "max_action_dim": ACTION_DIM + 1,
        "use_bf16": False,
    }
    return GrootConfig(**(wanted | settings))
