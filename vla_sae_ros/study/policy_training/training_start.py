"""What a training run starts from: a random policy, or an earlier one."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from lerobot.policies.smolvla.modeling_smolvla import SmolVLAPolicy
from tokenizers import AddedToken
from torch import Tensor
from transformers import AutoTokenizer

from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.policy.checkpoints.checkpoint_files import VLM_FOLDER
from vla_sae_ros.policy.checkpoints.input_features import observed_features
from vla_sae_ros.policy.checkpoints.loaded import LoadedPolicy
from vla_sae_ros.policy.loading import load_policy
from vla_sae_ros.policy.tiny.tiny_smolvla import (
    CAMERA_KEYS,
    TinySize,
    build_tiny_smolvla,
    write_vlm_folder,
)
from vla_sae_ros.study.policy_training.policy_recipe import Recipe
from vla_sae_ros.study.policy_training.training_set import Statistics, TrainingSet, statistics_of
from vla_sae_ros.study.policy_training.wordings import wordings


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
            complaint("Cannot continue training this policy", loaded.name, "a SmolVLA")
        )
    read, shown = set(observed_features(loaded.policy.config)), {*CAMERA_KEYS, "observation.state"}
    if read != shown:
        raise ConfigurationError(
            complaint(
                f"inputs of {loaded.name}",
                sorted(read),
                sorted(shown),
                "train-policy continues policies that read what the demonstrations show.",
            )
        )
    _require_sizes(loaded, data)
    vlm_folder = out / VLM_FOLDER
    if not vlm_folder.is_dir():
        shutil.copytree(start_from / VLM_FOLDER, vlm_folder)
    sentences = [text for own in data.instructions for text in wordings(own)]
    policy = _grown(loaded.policy, vlm_folder, add_words(vlm_folder, sentences))
    return vlm_folder, policy, _saved_statistics(loaded.preprocessor, loaded.postprocessor)


def _require_sizes(loaded: LoadedPolicy, data: TrainingSet) -> None:
    """Refuse a policy whose chunks, vectors or pictures are not those of the demonstrations."""
    config: Any = loaded.config
    names = ("chunk_size", "max_state_dim", "max_action_dim", "resize_imgs_with_padding")
    got = dict(zip(names, (getattr(config, name) for name in names), strict=True))
    chunk, action = data.chunks.shape[1:]
    sizes = (chunk, data.states.shape[1], action, tuple(data.pictures.shape[-2:]))
    wanted = dict(zip(names, sizes, strict=True))
    if got | {names[-1]: tuple(got[names[-1]] or ())} != wanted:
        raise ConfigurationError(
            complaint(
                f"sizes of {loaded.name}",
                got,
                wanted,
                "train-policy continues policies of its own sizes. Train others with lerobot, on "
                "vla-sae demos --lerobot.",
            )
        )


def add_words(vlm_folder: Path, sentences: Iterable[str]) -> int:
    """Make a token of every word that the folder's tokenizer cuts in pieces.

    Returns how many tokens there are then; those that were there keep their numbers.
    """
    tokenizer = AutoTokenizer.from_pretrained(vlm_folder)
    words = sorted({word for text in sentences for word in text.split()})
    cut = [word for word in words if len(tokenizer.tokenize(word)) > 1]
    # The space before a word belongs to its token, as in the words that were there.
    tokenizer.add_tokens(
        [AddedToken(word, single_word=True, lstrip=True, normalized=False) for word in cut]
    )
    tokenizer.save_pretrained(vlm_folder)
    path = vlm_folder / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config["text_config"]["vocab_size"] = len(tokenizer)
    path.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    return len(tokenizer)


def _grown(policy: SmolVLAPolicy, vlm_folder: Path, vocabulary: int) -> SmolVLAPolicy:
    """Return the policy with room for the folder's tokens, the new ones' embeddings random."""
    config = replace(policy.config, vlm_model_name=str(vlm_folder))
    torch.manual_seed(0)
    grown = SmolVLAPolicy(config)
    weights = policy.state_dict()
    for name, fresh in grown.state_dict().items():
        if fresh.shape != weights[name].shape:
            weights[name] = torch.cat([weights[name], fresh[len(weights[name]) :]])
    grown.load_state_dict(weights)
    assert grown.model.vlm_with_expert.config.text_config.vocab_size == vocabulary
    return grown


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
