"""Policies at their published sizes with random weights, as folders that load without a network.

    python bench/published.py smolvla out/published/smolvla    # 450 million parameters
    python bench/published.py pi05 out/published/pi05          # 4.14 billion, in bfloat16

The sizes are those of SmolVLM2-500M-Video-Instruct with SmolVLA's defaults, and of lerobot's own
pi0.5. What would come from the hub, tokenizer and statistics, is stood in for: a tokenizer that
knows every byte, and unit statistics. Inputs and outputs are LIBERO's.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import torch
from lerobot.configs.policies import PreTrainedConfig
from lerobot.configs.types import FeatureType, PolicyFeature
from lerobot.policies.factory import get_policy_class, make_policy_config
from lerobot.policies.pretrained import PreTrainedPolicy
from transformers import SmolVLMConfig, SmolVLMProcessor
from transformers.models.smolvlm import SmolVLMImageProcessor, SmolVLMVideoProcessor

from vla_sae_ros.policy.checkpoints.checkpoint import save_checkpoint
from vla_sae_ros.policy.checkpoints.checkpoint_files import VLM_FOLDER
from vla_sae_ros.policy.checkpoints.lean import without_random_weights
from vla_sae_ros.policy.tiny.tiny_pi import SENTENCES, save_pi
from vla_sae_ros.policy.tiny.tiny_smolvla import LIBERO_SHAPES, SPECIAL_TOKENS
from vla_sae_ros.policy.tiny.tiny_tokenizer import train_tokenizer

STATE, ACTION = LIBERO_SHAPES["observation.state"][0], LIBERO_SHAPES["action"][0]
STATS = {
    key: {
        "mean": torch.zeros(size),
        "std": torch.ones(size),
        "q01": -torch.ones(size),
        "q99": torch.ones(size),
    }
    for key, size in (("observation.state", STATE), ("action", ACTION))
}
VOCABULARY = 420


def write_smolvlm(folder: Path) -> None:
    """Write the configuration of SmolVLM2-500M-Video-Instruct, and a processor for it."""
    tokenizer = train_tokenizer(SENTENCES, VOCABULARY, SPECIAL_TOKENS)
    SmolVLMProcessor(
        image_processor=SmolVLMImageProcessor(do_image_splitting=False, size={"longest_edge": 512}),
        tokenizer=tokenizer,
        video_processor=SmolVLMVideoProcessor(),
        image_seq_len=64,
    ).save_pretrained(folder)
    SmolVLMConfig(
        image_token_id=tokenizer.convert_tokens_to_ids(SPECIAL_TOKENS["image_token"]),
        pad_token_id=tokenizer.pad_token_id,
        scale_factor=4,
        tie_word_embeddings=False,
        vision_config={
            "hidden_size": 768,
            "intermediate_size": 3072,
            "num_hidden_layers": 12,
            "num_attention_heads": 12,
            "image_size": 512,
            "patch_size": 16,
        },
        text_config={
            "model_type": "llama",
            "hidden_size": 960,
            "intermediate_size": 2560,
            "num_hidden_layers": 32,
            "num_attention_heads": 15,
            "num_key_value_heads": 5,
            "head_dim": 64,
            "vocab_size": 49280,
            "max_position_embeddings": 8192,
            "rms_norm_eps": 1e-5,
            "pad_token_id": tokenizer.pad_token_id,
            "tie_word_embeddings": False,
        },
    ).save_pretrained(folder)


def smolvla(folder: Path) -> int:
    """Write SmolVLA; return how many parameters it has."""
    write_smolvlm(folder / VLM_FOLDER)
    config = _config("smolvla", vlm_model_name=str(folder / VLM_FOLDER), load_vlm_weights=False)
    policy = _drawn(config)
    save_checkpoint(policy, STATS, folder / VLM_FOLDER, folder)  # type: ignore[arg-type]
    return _parameters(policy)


def pi05(folder: Path) -> int:
    """Write pi0.5 in bfloat16; return how many parameters it has."""
    policy = _drawn(_config("pi05", dtype="bfloat16"))
    save_pi(policy, STATS, folder)
    return _parameters(policy)


def _config(family: str, **settings: object) -> PreTrainedConfig:
    shapes = {key: shape for key, shape in LIBERO_SHAPES.items() if key != "action"}
    kinds = {1: FeatureType.STATE, 3: FeatureType.VISUAL}
    return make_policy_config(
        family,
        device="cpu",
        push_to_hub=False,
        input_features={
            key: PolicyFeature(type=kinds[len(shape)], shape=shape) for key, shape in shapes.items()
        },
        output_features={"action": PolicyFeature(type=FeatureType.ACTION, shape=(ACTION,))},
        **settings,
    )


def _drawn(config: PreTrainedConfig) -> PreTrainedPolicy:
    torch.manual_seed(0)
    with without_random_weights():
        policy = get_policy_class(config.type)(config)
    for name, parameter in policy.named_parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=parameter.shape[-1] ** -0.5)
        elif name.endswith("bias"):  # left as the memory was
            torch.nn.init.zeros_(parameter)
    return policy.eval()


def _parameters(policy: PreTrainedPolicy) -> int:
    return sum(parameter.numel() for parameter in policy.parameters())


FAMILIES: dict[str, Callable[[Path], int]] = {"smolvla": smolvla, "pi05": pi05}


def main() -> None:
    """Write one and say how large it is."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("family", choices=FAMILIES)
    parser.add_argument("folder", type=Path)
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    parameters = FAMILIES[args.family](args.folder)
    size = sum(path.stat().st_size for path in args.folder.rglob("*") if path.is_file())
    print(
        f"{args.folder}: {parameters:,} parameters, {size / 1e9:.2f} GB on disk, written in "
        f"{time.monotonic() - began:.0f} s"
    )


if __name__ == "__main__":
    main()
