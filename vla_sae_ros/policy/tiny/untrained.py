"""An untrained policy for any environment: SmolVLA's own classes, tiny and random.

It does nothing useful: it shows that everything from an environment's cameras to its actions works,
without a download and without a GPU. Its SAE is random, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from vla_sae_ros.policy.checkpoints.checkpoint import save_checkpoint
from vla_sae_ros.policy.checkpoints.checkpoint_files import VLM_FOLDER
from vla_sae_ros.policy.checkpoints.policy_id import policy_id_of
from vla_sae_ros.policy.tiny.random_bundle import random_bundle
from vla_sae_ros.policy.tiny.tiny_smolvla import TinySize, build_tiny_smolvla, write_vlm_folder

SITE = "backbone.1"
SIZE = TinySize(
    image_size=64,
    vision_width=48,
    vision_layers=1,
    text_width=48,
    text_layers=3,
    heads=3,
    mlp_width=64,
    denoising_steps=3,
    vocabulary=300,
)
REACH = 0.35
"""Of the range of an action that the policy uses: it wanders."""


def write_untrained_policy(
    folder: Path,
    shapes: Mapping[str, tuple[int, ...]],
    low: npt.NDArray[np.float64],
    high: npt.NDArray[np.float64],
    instructions: Sequence[str],
    seed: int = 0,
) -> tuple[Path, Path]:
    """Write a policy and an SAE bundle below the folder; return their folders.

    Args:
        folder: where policy/ and sae/ go.
        shapes: of the features: pictures (3, H, W), "observation.state" (n,), "action" (A,).
        low, high: (A,) bounds of an action; infinite ones count as -1 and 1.
        instructions: what the tokenizer is trained on; it takes any other text, too.
        seed: of the weights.
    """
    policy, bundle = folder / "policy", folder / "sae" / SITE.replace(".", "_")
    low, high = np.maximum(low, -1.0), np.minimum(high, 1.0)
    width = shapes["observation.state"][0]
    stats = {
        "observation.state": {"mean": torch.zeros(width), "std": torch.ones(width)},
        "action": {
            "mean": torch.tensor((low + high) / 2, dtype=torch.float32),
            "std": torch.tensor((high - low) / 2 * REACH, dtype=torch.float32),
        },
    }
    write_random_policy(policy, shapes, stats, instructions, SIZE, seed)
    random_bundle(policy_id_of(policy), SITE, SIZE.text_width, seed).save(bundle)
    return policy, bundle


def write_random_policy(
    policy: Path,
    shapes: Mapping[str, tuple[int, ...]],
    stats: dict[str, dict[str, torch.Tensor]],
    instructions: Sequence[str],
    size: TinySize,
    seed: int = 0,
) -> None:
    """Write a SmolVLA with random weights as a checkpoint folder, to train or to try with.

    Args:
        policy: the folder.
        shapes, instructions, seed: see `write_untrained_policy`.
        stats: "mean" and "std" of "observation.state" (n,) and "action" (A,).
        size: of its parts.
    """
    vlm = policy / VLM_FOLDER
    vlm.parent.mkdir(parents=True, exist_ok=True)
    write_vlm_folder(vlm, [*instructions, "do the task"], size)
    save_checkpoint(build_tiny_smolvla(vlm, size, seed, shapes), stats, vlm, policy)
