"""A shrunken, randomly initialised policy of lerobot's own SmolVLA class, loaded as a user's would be."""

from __future__ import annotations

import pytest
import torch

from vla_sae_ros.policy.checkpoint import save_checkpoint
from vla_sae_ros.policy.loading import LoadedPolicy, load_policy
from vla_sae_ros.policy.tiny_smolvla import TinySize, build_tiny_smolvla, write_vlm_folder

SMALL = TinySize(
    image_size=64, patch_size=16, vision_width=48, vision_layers=1, text_width=48, text_layers=3,
    heads=3, mlp_width=64, chunk=6, denoising_steps=3, vocabulary=300,
)  # fmt: skip


@pytest.fixture(scope="session")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> LoadedPolicy:
    """The policy, read back from the folder it was saved to."""
    folder = tmp_path_factory.mktemp("tiny")
    write_vlm_folder(folder / "vlm", ["pick up the butter and place it in the basket"], SMALL)
    policy = build_tiny_smolvla(folder / "vlm", SMALL)
    stats = {
        "observation.state": {"mean": torch.zeros(8), "std": torch.ones(8)},
        "action": {"mean": torch.zeros(7), "std": torch.ones(7)},
    }
    save_checkpoint(policy, stats, folder / "vlm", folder / "policy")
    return load_policy(folder / "policy")
