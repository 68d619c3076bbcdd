"""Small pi0, pi0.5 and pi0-FAST, of lerobot's own classes, built without any download.

lerobot knows two sizes of Gemma and one of the vision tower by heart. The small models are made by
giving its own classes smaller configurations while they are built.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from lerobot.configs.policies import PreTrainedConfig
from lerobot.configs.types import FeatureType, PolicyFeature
from lerobot.policies.factory import get_policy_class, make_policy_config
from lerobot.policies.pretrained import PreTrainedPolicy
from lerobot.processor import TokenizerProcessorStep
from torch import Tensor

from vla_sae_ros.core.json_document import parse_json
from vla_sae_ros.policy.checkpoints.checkpoint_files import name_relatively
from vla_sae_ros.policy.checkpoints.replaced import replaced
from vla_sae_ros.policy.tiny.tiny_smolvla import ACTION_DIM, CAMERA_KEYS, PICTURE_SIZE, STATE_DIM
from vla_sae_ros.policy.tiny.tiny_tokenizer import train_tokenizer

SIZES = "shrunken.json"
"""A shrunken checkpoint's sizes, which lerobot's config.json has no place for."""
TOKENIZER_FOLDER = "tokenizer"
SPECIAL_TOKENS = {"pad_token": "<pad>", "eos_token": "<eos>", "bos_token": "<bos>"}
SENTENCES = (
    "Task: pick up the butter and place it in the basket, State: 0 1 2 128 255;\nAction: ",
)


@dataclass(frozen=True)
class PiSize:
    """How large the parts are; the default has about 100 thousand parameters."""

    image_size: int = 32
    patch_size: int = 8
    vision_width: int = 16
    backbone_width: int = 32
    expert_width: int = 24
    layers: int = 3
    heads: int = 8
    """lerobot's training code wants 8."""
    head_width: int = 4
    mlp_width: int = 48
    vocabulary: int = 300
    chunk: int = 6
    denoising_steps: int = 3
    language: int = 64
    decoded: int = 6
    """Most tokens that pi0-FAST decodes."""


def build_tiny_pi(
    family: str, size: PiSize = PiSize(), seed: int = 0, **settings: Any
) -> PreTrainedPolicy:
    """Return a randomly initialised "pi0", "pi05" or "pi0_fast" policy.

    `settings` go to its configuration. "pi0_fast" needs text_tokenizer_name, see
    `write_pi_tokenizer`, and a FAST tokenizer: lerobot fetches one with its code from the hub.
    """
    torch.manual_seed(seed)
    with shrunken(family, size):
        policy = get_policy_class(family)(tiny_pi_config(family, size, **settings))
    for parameter in policy.parameters():
        if parameter.ndim > 1:  # lerobot's own start leaves gates and modulations at zero
            torch.nn.init.normal_(parameter, std=parameter.shape[-1] ** -0.5)
    return policy.eval()


def tiny_pi_config(family: str, size: PiSize = PiSize(), **settings: Any) -> PreTrainedConfig:
    """Return the policy's configuration: two cameras, state (8,), action (7,)."""
    picture = PolicyFeature(type=FeatureType.VISUAL, shape=(3, PICTURE_SIZE, PICTURE_SIZE))
    wanted: dict[str, Any] = {
        "device": "cpu",
        "push_to_hub": False,
        "input_features": {
            **dict.fromkeys(CAMERA_KEYS, picture),
            "observation.state": PolicyFeature(type=FeatureType.STATE, shape=(STATE_DIM,)),
        },
        "output_features": {"action": PolicyFeature(type=FeatureType.ACTION, shape=(ACTION_DIM,))},
        "chunk_size": size.chunk,
        "n_action_steps": size.chunk,
        "max_state_dim": STATE_DIM,
        "max_action_dim": ACTION_DIM + 1,
        "image_resolution": (size.image_size, size.image_size),
        "tokenizer_max_length": size.language,
    }
    if family == "pi0_fast":  # what random weights decode begins with no "Action: "
        wanted |= {
            "max_decoding_steps": size.decoded,
            "fast_skip_tokens": 3,
            "validate_action_token_prefix": False,
        }
    else:
        wanted["num_inference_steps"] = size.denoising_steps
    return make_policy_config(family, **(wanted | settings))


def write_pi_tokenizer(folder: Path, size: PiSize = PiSize()) -> None:
    """Write a tokenizer of instructions into the folder."""
    train_tokenizer(SENTENCES, size.vocabulary, SPECIAL_TOKENS).save_pretrained(folder)


def save_tiny_pi(
    policy: PreTrainedPolicy, size: PiSize, stats: dict[str, dict[str, Tensor]], folder: Path
) -> None:
    """Write a checkpoint folder that `load_policy` loads offline: weights, processors, tokenizer.

    `stats` has "mean", "std", "q01" and "q99" for "observation.state" and "action".
    """
    save_pi(policy, stats, folder, size)
    (folder / SIZES).write_text(json.dumps(asdict(size), indent=2) + "\n", encoding="utf-8")


def save_pi(
    policy: PreTrainedPolicy,
    stats: dict[str, dict[str, Tensor]],
    folder: Path,
    size: PiSize = PiSize(),
) -> None:
    """Write a checkpoint of a policy of any size, whose tokenizer is that of `size`."""
    write_pi_tokenizer(folder / TOKENIZER_FOLDER, size)
    fields = {}
    if policy.name == "pi0_fast":
        policy.config.text_tokenizer_name = str(folder / TOKENIZER_FOLDER)
        fields = {"text_tokenizer_name": TOKENIZER_FOLDER}
    policy.save_pretrained(folder)

    def with_own_tokenizer(tokenizer_name: str, **settings: Any) -> TokenizerProcessorStep:
        return TokenizerProcessorStep(tokenizer_name=str(folder / TOKENIZER_FOLDER), **settings)

    processors = _module(policy.name, "processor")
    with replaced(processors, {"TokenizerProcessorStep": with_own_tokenizer}):
        make = getattr(processors, f"make_{policy.name}_pre_post_processors")
        for pipeline in make(policy.config, stats):
            pipeline.save_pretrained(folder)
    name_relatively(folder, fields, TOKENIZER_FOLDER)


@contextmanager
def shrunken_as_saved(family: str, folder: Path) -> Iterator[None]:
    """Let lerobot build what the checkpoint holds, where `save_tiny_pi` wrote it."""
    if not (folder / SIZES).is_file():
        yield
        return
    size = PiSize(**parse_json((folder / SIZES).read_text(encoding="utf-8")))
    with shrunken(family, size):
        yield


@contextmanager
def shrunken(family: str, size: PiSize) -> Iterator[None]:
    """Make lerobot build the classes of one of its pi families in this size, in the context."""
    module = _module(family, "modeling")

    def variant(name: str) -> Any:
        width = size.backbone_width if name == "gemma_2b" else size.expert_width
        return module.GemmaConfig(
            width, size.layers, size.mlp_width, size.heads, 1, size.head_width
        )

    paligemma = module.PaliGemmaForConditionalGenerationWithPiGemma
    smaller: dict[str, Callable[..., Any]] = {
        "get_gemma_config": variant,
        paligemma.__name__: lambda config: paligemma(_shrink_paligemma(config, size)),
    }
    if family != "pi0_fast":  # which has no expert
        gemma = module.PiGemmaForCausalLM
        smaller[gemma.__name__] = lambda config: gemma(_shrink_vocabulary(config, size))
    with replaced(module, smaller):
        yield


def _shrink_paligemma(config: Any, size: PiSize) -> Any:
    vision = config.vision_config
    vision.image_size, vision.patch_size = size.image_size, size.patch_size
    vision.hidden_size = vision.intermediate_size = size.vision_width
    vision.num_hidden_layers, vision.num_attention_heads = 1, 2
    vision.projection_dim = size.backbone_width
    _shrink_vocabulary(config.text_config, size)
    return config


def _shrink_vocabulary(config: Any, size: PiSize) -> Any:
    config.vocab_size = size.vocabulary
    return config


def _module(family: str, part: str) -> ModuleType:
    return importlib.import_module(f"lerobot.policies.{family}.{part}_{family}")
