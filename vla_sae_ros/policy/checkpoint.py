"""Saving a policy as a lerobot checkpoint folder that loads offline and anywhere."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import torch
from lerobot.policies.smolvla.modeling_smolvla import SmolVLAPolicy
from lerobot.policies.smolvla.processor_smolvla import make_smolvla_pre_post_processors
from safetensors.torch import load_file, save_file
from torch import Tensor

from vla_sae_ros.policy.tiny_smolvla import VLM_FOLDER

WEIGHTS = "model.safetensors"
PREPROCESSOR = "policy_preprocessor.json"
POSTPROCESSOR = "policy_postprocessor.json"
TOKENIZER_STEP = "tokenizer_processor"


def save_checkpoint(
    policy: SmolVLAPolicy, stats: dict[str, dict[str, Tensor]], vlm_folder: Path, folder: Path
) -> None:
    """Write config, half-precision weights, both processors and the backbone's folder.

    `stats` has "mean" and "std" for "observation.state" and "action". No path of this machine
    is left in the files: the backbone is named relative to the checkpoint's own folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if vlm_folder.resolve() != (folder / VLM_FOLDER).resolve():
        shutil.copytree(vlm_folder, folder / VLM_FOLDER, dirs_exist_ok=True)
    policy.save_pretrained(folder)
    weights = load_file(folder / WEIGHTS)
    save_file(
        {name: _half(tensor) for name, tensor in weights.items()}, folder / WEIGHTS,
        metadata={"format": "pt"},
    )
    for pipeline in make_smolvla_pre_post_processors(policy.config, stats):
        pipeline.save_pretrained(folder)
    _name_backbone_relatively(folder)


def _half(tensor: Tensor) -> Tensor:
    return tensor.to(torch.float16) if tensor.is_floating_point() else tensor


def _name_backbone_relatively(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config["vlm_model_name"] = VLM_FOLDER
    config.pop("pretrained_path", None)
    _write_json(folder / "config.json", config)
    pipeline = json.loads((folder / PREPROCESSOR).read_text(encoding="utf-8"))
    for step in pipeline["steps"]:
        if step.get("registry_name") == TOKENIZER_STEP:
            step["config"]["tokenizer_name"] = VLM_FOLDER
    _write_json(folder / PREPROCESSOR, pipeline)


def _write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
