"""Loading a lerobot policy with its processors from a folder, without the network."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lerobot.configs.policies import PreTrainedConfig
from lerobot.policies.factory import get_policy_class, make_pre_post_processors
from lerobot.policies.pretrained import PreTrainedPolicy
from lerobot.processor import PolicyProcessorPipeline

from vla_sae_ros.core.errors import ConfigurationError, complaint

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
PROCESSORS = ("policy_preprocessor.json", "policy_postprocessor.json")
BACKBONE_FIELD = "vlm_model_name"
BACKBONE_FILE = "tokenizer.json"
ID_LENGTH = 16


@dataclass(frozen=True)
class LoadedPolicy:
    """A policy in evaluation mode, in float32, with what turns observations into its batches."""

    policy: PreTrainedPolicy
    preprocessor: PolicyProcessorPipeline[dict[str, Any], dict[str, Any]]
    postprocessor: PolicyProcessorPipeline[Any, Any]
    name: str
    """The policy's type and folder, for people."""
    policy_id: str
    """First 16 hex digits of the SHA-256 of the weights file: which policy this is."""
    config: PreTrainedConfig


def load_policy(folder: Path, device: str = "cpu") -> LoadedPolicy:
    """Load a policy folder as lerobot saves it.

    A backbone that the configuration names by a relative path is looked for inside the folder.
    Raises ConfigurationError in plain words when the folder, one of its files, the policy's type or
    the backbone is missing or cannot be read.
    """
    folder = Path(folder)
    _require_files(folder)
    policy_type = _policy_type(folder)
    overrides: dict[str, Any] = {"device_processor": {"device": device}}
    try:
        policy_class = get_policy_class(policy_type)
        config = PreTrainedConfig.from_pretrained(folder)
        config.device = device
        backbone = _backbone(folder, config)
        if backbone is not None:
            setattr(config, BACKBONE_FIELD, str(backbone))
            overrides["tokenizer_processor"] = {"tokenizer_name": str(backbone)}
        policy = policy_class.from_pretrained(folder, config=config, strict=True)
        preprocessor, postprocessor = make_pre_post_processors(
            config, pretrained_path=str(folder), preprocessor_overrides=overrides
        )
    except ConfigurationError:
        raise
    except Exception as error:  # lerobot raises anything from KeyError to SafetensorError
        raise ConfigurationError(
            f"The {policy_type} policy in {folder} could not be loaded: "
            f"{type(error).__name__}: {error}. Save it again with the lerobot release that this "
            "package pins, or name another folder."
        ) from error
    policy.eval()
    if torch.device(device).type == "cpu":
        policy.float()
    return LoadedPolicy(
        policy, preprocessor, postprocessor, f"{policy_type} from {folder.resolve().name}",
        policy_id_of(folder), config,
    )


def policy_id_of(folder: Path) -> str:
    """Return the content id of a policy folder's weights."""
    with (folder / WEIGHTS).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()[:ID_LENGTH]


def _require_files(folder: Path) -> None:
    if not folder.is_dir():
        raise ConfigurationError(
            f"There is no policy folder {folder}. Name a folder that holds {CONFIG}, {WEIGHTS} and "
            "the processor files of a lerobot checkpoint."
        )
    for name in (CONFIG, WEIGHTS):
        if not (folder / name).is_file():
            raise ConfigurationError(
                f"{folder} is no lerobot checkpoint: {name} is missing. If this is a training "
                "output, name its pretrained_model folder."
            )
    missing = [name for name in PROCESSORS if not (folder / name).is_file()]
    if missing:
        raise ConfigurationError(
            f"{folder} has no {' and no '.join(missing)}: checkpoints written before lerobot 0.4 "
            "keep their normalisation inside the weights. Convert the checkpoint with lerobot's "
            "own migration first (python -m "
            "lerobot.processor.migrate_policy_normalization --pretrained-path <folder>)."
        )


def _policy_type(folder: Path) -> str:
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        policy_type = config["type"]
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise ConfigurationError(
            f"{folder / CONFIG} is no policy configuration ({type(error).__name__}: {error}); it "
            'must be JSON with a field "type" such as "smolvla".'
        ) from error
    known = sorted(PreTrainedConfig.get_known_choices())
    if policy_type not in known:
        raise ConfigurationError(
            complaint(f"{folder / CONFIG} names an unknown policy type", policy_type,
                      ", ".join(known))
        )
    return policy_type


def _backbone(folder: Path, config: PreTrainedConfig) -> Path | None:
    """Return the backbone's folder where the configuration names one inside the checkpoint."""
    name = getattr(config, BACKBONE_FIELD, None)
    if name is None or Path(name).is_absolute():
        return None
    inside = folder / name
    if inside.is_dir():
        if not (inside / BACKBONE_FILE).is_file():
            raise ConfigurationError(
                f"The backbone folder {inside} has no {BACKBONE_FILE}; copy the checkpoint again "
                "with all its files."
            )
        return inside.resolve()
    if "/" not in name:
        raise ConfigurationError(
            f"{folder / CONFIG} names its backbone {name!r}, but {inside} is no folder; copy the "
            "checkpoint again with all its files."
        )
    return None
