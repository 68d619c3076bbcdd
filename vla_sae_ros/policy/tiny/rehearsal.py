"""A policy to rehearse with: pi0.5's own classes, tiny and random, with DROID's inputs and outputs.

It does nothing useful: it shows that everything from the cameras to the joints works, without a
download and without a GPU. Its SAE is random, too.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import torch
from lerobot.configs.types import FeatureType, PolicyFeature

from vla_sae_ros.policy.checkpoints.policy_id import policy_id_of
from vla_sae_ros.policy.tiny.random_bundle import random_bundle
from vla_sae_ros.policy.tiny.tiny_pi import PiSize, build_tiny_pi, save_tiny_pi

CAMERA_KEYS = ("observation.images.exterior_image_1_left", "observation.images.wrist_image_left")
PICTURE = (3, 224, 224)
STATE_DIM = ACTION_DIM = 8
HORIZON = 15
"""As pi05_droid's; its users execute 8 of them."""
SIZE = PiSize(chunk=HORIZON, language=128)
SITE = "backbone.1"
REACH = 0.35
"""Of an action's [-1, 1] that the random policy uses: it wanders slowly."""


def ensure_droid_policy(folder: Path, seed: int = 0) -> tuple[Path, Path]:
    """Return the folders of the policy and of its SAE bundle below `folder`, made if missing."""
    policy, bundle = folder / "policy", folder / "sae" / "backbone_1"
    if bundle.is_dir():
        return policy, bundle
    shutil.rmtree(folder, ignore_errors=True)  # what was left half made
    picture = PolicyFeature(type=FeatureType.VISUAL, shape=PICTURE)
    model = build_tiny_pi(
        "pi05",
        SIZE,
        seed,
        input_features={
            **dict.fromkeys(CAMERA_KEYS, picture),
            "observation.state": PolicyFeature(type=FeatureType.STATE, shape=(STATE_DIM,)),
        },
        output_features={"action": PolicyFeature(type=FeatureType.ACTION, shape=(ACTION_DIM,))},
        max_state_dim=STATE_DIM,
        max_action_dim=ACTION_DIM,
    )
    policy.mkdir(parents=True)
    save_tiny_pi(model, SIZE, _statistics(), policy)
    random_bundle(policy_id_of(policy), SITE, SIZE.backbone_width, seed).save(bundle)
    return policy, bundle


def _statistics() -> dict[str, dict[str, torch.Tensor]]:
    """Ranges of a Franka's joints and of slow actions; the gripper goes from 0 to 1."""
    reach = torch.full((ACTION_DIM,), REACH)
    state = {
        "mean": torch.zeros(STATE_DIM),
        "std": torch.ones(STATE_DIM),
        "q01": torch.full((STATE_DIM,), -2.9),
        "q99": torch.full((STATE_DIM,), 2.9),
    }
    action = {"mean": torch.zeros(ACTION_DIM), "std": reach, "q01": -reach, "q99": reach.clone()}
    action["q01"][-1], action["q99"][-1] = 0.0, 1.0
    return {"observation.state": state, "action": action}
