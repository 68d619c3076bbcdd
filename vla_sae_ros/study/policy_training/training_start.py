"""What a training run starts from: a random policy, or an earlier one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from lerobot.policies.smolvla.modeling_smolvla import SmolVLAPolicy
from torch import Tensor
from transformers import AutoTokenizer

from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.policy.checkpoints.checkpoint_files import VLM_FOLDER
from vla_sae_ros.policy.loading import load_policy
from vla_sae_ros.policy.tiny.tiny_smolvla import (
    TinySize,
    build_tiny_smolvla,
    write_vlm_folder,
)
from vla_sae_ros.study.policy_training.policy_recipe import Recipe
from vla_sae_ros.study.policy_training.training_set import Statistics, TrainingSet, statistics_of


def starting_point(
    data: TrainingSet, out: Path, recipe: Recipe, start_from: Path | None, size: TinySize
) -> tuple[Path, SmolVLAPolicy, Statistics]:
    """Return (backbone folder, policy, statistics): random, or an earlier policy's."""
    if start_from is None:
        vlm_folder = out / VLM_FOLDER
        if not vlm_folder.is_dir():
            write_vlm_folder(vlm_folder, _all_instructions(data.instructions), size)
        policy = build_tiny_smolvla(vlm_folder, size, recipe.seed)
        return vlm_folder, policy, statistics_of(data)
    loaded = load_policy(start_from)
    if not isinstance(loaded.policy, SmolVLAPolicy):
        raise ConfigurationError(
            complaint("Cannot go on training this policy", loaded.name, "a SmolVLA")
        )
    return (
        start_from / VLM_FOLDER,
        loaded.policy,
        _saved_statistics(loaded.preprocessor, loaded.postprocessor),
    )


def _saved_statistics(preprocessor: Any, postprocessor: Any) -> Statistics:
    def of(pipeline: Any, key: str) -> tuple[Tensor, Tensor]:
        step = next(step for step in pipeline.steps if getattr(step, "stats", None))
        values = step.stats[key]
        return torch.as_tensor(values["mean"]).float(), torch.as_tensor(values["std"]).float()

    return Statistics(*of(preprocessor, "observation.state"), *of(postprocessor, "action"))


def _all_instructions(own: tuple[str, ...]) -> list[str]:
    """Return every installed LIBERO instruction and, many times over, those trained on."""
    from vla_sae_ros.sim.suites import suite_names, suite_tasks

    known = {task.instruction for suite in suite_names() for task in suite_tasks(suite)}
    return sorted(known) + 50 * list(own)


def tokenize(vlm_folder: Path, instructions: tuple[str, ...]) -> tuple[Tensor, Tensor]:
    """Return tokens and mask (instructions, T), as SmolVLA's preprocessor makes them."""
    tokenizer = AutoTokenizer.from_pretrained(vlm_folder)
    encoded = tokenizer(
        [f"{text}\n" for text in instructions],
        padding="longest",
        padding_side="right",
        return_tensors="pt",
    )
    return encoded["input_ids"], encoded["attention_mask"].bool()
