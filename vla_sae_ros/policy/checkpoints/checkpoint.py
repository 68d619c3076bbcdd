"""Saving a policy as a lerobot checkpoint folder that loads offline and anywhere."""

from __future__ import annotations

import shutil
from pathlib import Path

import torch
from lerobot.policies.smolvla.modeling_smolvla import SmolVLAPolicy
from lerobot.policies.smolvla.processor_smolvla import make_smolvla_pre_post_processors
from safetensors.torch import load_file, save_file
from torch import Tensor

from vla_sae_ros.policy.checkpoints.checkpoint_files import VLM_FOLDER, WEIGHTS, name_relatively


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
        {name: _half(tensor) for name, tensor in weights.items()},
        folder / WEIGHTS,
        metadata={"format": "pt"},
    )
    for pipeline in make_smolvla_pre_post_processors(policy.config, stats):
        pipeline.save_pretrained(folder)
    name_relatively(folder, {"vlm_model_name": VLM_FOLDER}, VLM_FOLDER)


def _half(tensor: Tensor) -> Tensor:
    return tensor.to(torch.float16) if tensor.is_floating_point() else tensor
