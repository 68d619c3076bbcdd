"""A small SmolVLA, of lerobot's own class, built without any download."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from lerobot.configs.types import FeatureType, PolicyFeature
from lerobot.policies.smolvla.configuration_smolvla import SmolVLAConfig
from lerobot.policies.smolvla.modeling_smolvla import SmolVLAPolicy
from transformers import PreTrainedTokenizerFast, SmolVLMConfig, SmolVLMProcessor
from transformers.models.smolvlm import SmolVLMImageProcessor, SmolVLMVideoProcessor

from vla_sae_ros.policy.tiny.tiny_tokenizer import train_tokenizer

CAMERA_KEYS = ("observation.images.agentview", "observation.images.wrist")
STATE_DIM = 8
ACTION_DIM = 7
PICTURE_SIZE = 256
"""Pixels per side that the policy is given; it halves them itself."""
LIBERO_SHAPES: Mapping[str, tuple[int, ...]] = {
    **dict.fromkeys(CAMERA_KEYS, (3, PICTURE_SIZE, PICTURE_SIZE)),
    "observation.state": (STATE_DIM,),
    "action": (ACTION_DIM,),
}

SPECIAL_TOKENS = {
    "pad_token": "<pad>",
    "eos_token": "<end_of_utterance>",
    "image_token": "<image>",
    "fake_image_token": "<fake_token_around_image>",
    "global_image_token": "<global-img>",
    "end_of_utterance_token": "<end_of_utterance>",
    "video_token": "<video>",
}


@dataclass(frozen=True)
class TinySize:
    """How large the parts are; the default has 2.3 million parameters."""

    image_size: int = 128
    patch_size: int = 16
    shuffle: int = 2
    """Patches per side that are folded into one token of the backbone."""
    vision_width: int = 128
    vision_layers: int = 3
    text_width: int = 128
    text_layers: int = 4
    heads: int = 4
    mlp_width: int = 384
    expert_ratio: float = 0.75
    chunk: int = 10
    denoising_steps: int = 5
    vocabulary: int = 420


def write_vlm_folder(folder: Path, sentences: Iterable[str], size: TinySize = TinySize()) -> None:
    """Write the backbone's configuration, and a tokenizer trained on the sentences.

    The byte-level alphabet is always included, so that any instruction can be encoded.
    """
    tokenizer = train_tokenizer(sentences, size.vocabulary, SPECIAL_TOKENS)
    image_processor = SmolVLMImageProcessor(
        do_image_splitting=False, size={"longest_edge": size.image_size}
    )
    processor = SmolVLMProcessor(
        image_processor=image_processor,
        tokenizer=tokenizer,
        video_processor=SmolVLMVideoProcessor(),
        image_seq_len=(size.image_size // size.patch_size // size.shuffle) ** 2,
    )
    processor.save_pretrained(folder)
    _vlm_config(tokenizer, size).save_pretrained(folder)


def build_tiny_smolvla(
    vlm_folder: Path,
    size: TinySize = TinySize(),
    seed: int = 0,
    shapes: Mapping[str, tuple[int, ...]] = LIBERO_SHAPES,
) -> SmolVLAPolicy:
    """Return a randomly initialised policy on the backbone that the folder describes.

    shapes: of every feature: pictures (3, H, W), "observation.state" (n,), "action" (A,).

    Everything is trainable: lerobot freezes the last backbone layer even when the backbone is to
    be trained, and a random frozen layer would feed the expert noise for ever.
    """
    torch.manual_seed(seed)
    policy = SmolVLAPolicy(tiny_config(str(vlm_folder), size, shapes))
    for parameter in policy.parameters():
        parameter.requires_grad = True
    return policy


def tiny_config(
    vlm_name: str,
    size: TinySize = TinySize(),
    shapes: Mapping[str, tuple[int, ...]] = LIBERO_SHAPES,
) -> SmolVLAConfig:
    """Return the policy's configuration; shapes as `build_tiny_smolvla` takes them."""
    state, action = shapes["observation.state"], shapes["action"]
    return SmolVLAConfig(
        vlm_model_name=vlm_name,
        load_vlm_weights=False,
        device="cpu",
        push_to_hub=False,
        input_features={
            **{
                key: PolicyFeature(type=FeatureType.VISUAL, shape=shape)
                for key, shape in shapes.items()
                if len(shape) == 3
            },
            "observation.state": PolicyFeature(type=FeatureType.STATE, shape=state),
        },
        output_features={"action": PolicyFeature(type=FeatureType.ACTION, shape=action)},
        chunk_size=size.chunk,
        n_action_steps=size.chunk // 2,
        max_state_dim=state[0],
        max_action_dim=action[0],
        resize_imgs_with_padding=(size.image_size, size.image_size),
        num_steps=size.denoising_steps,
        freeze_vision_encoder=False,
        train_expert_only=False,
        num_vlm_layers=size.text_layers,
        num_expert_layers=size.text_layers,
        self_attn_every_n_layers=2,
        expert_width_multiplier=size.expert_ratio,
    )


def _vlm_config(tokenizer: PreTrainedTokenizerFast, size: TinySize) -> SmolVLMConfig:
    return SmolVLMConfig(
        image_token_id=tokenizer.convert_tokens_to_ids(SPECIAL_TOKENS["image_token"]),
        pad_token_id=tokenizer.pad_token_id,
        scale_factor=size.shuffle,
        tie_word_embeddings=False,
        vision_config={
            "hidden_size": size.vision_width,
            "intermediate_size": size.mlp_width,
            "num_hidden_layers": size.vision_layers,
            "num_attention_heads": size.heads,
            "image_size": size.image_size,
            "patch_size": size.patch_size,
        },
        text_config={
            "model_type": "llama",
            "hidden_size": size.text_width,
            "intermediate_size": size.mlp_width,
            "num_hidden_layers": size.text_layers,
            "num_attention_heads": size.heads,
            "num_key_value_heads": size.heads,
            "head_dim": size.text_width // size.heads,
            "vocab_size": len(tokenizer),
            "max_position_embeddings": 1024,
            "rms_norm_eps": 1e-5,
            "pad_token_id": tokenizer.pad_token_id,
            "tie_word_embeddings": False,
        },
    )
