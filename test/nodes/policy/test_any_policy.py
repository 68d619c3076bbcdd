"""A policy without an adapter of its own, served over DDS: read and edited at its modules."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import fake_bridge
import numpy as np
import pytest
import torch
from fake_bridge import INSTRUCTION, FakeBridge
from rclpy.context import Context
from small_policies import save_small

from vla_sae_ros.core.steering import Edit, Mode
from vla_sae_ros.msg import ActionChunk, FeatureActivations, SteeringState
from vla_sae_ros.policy.checkpoints.loaded import LoadedPolicy
from vla_sae_ros.policy.engine import PolicyEngine
from vla_sae_ros.policy.loading import load_policy
from vla_sae_ros.policy.tiny.tiny_smolvla import CAMERA_KEYS
from vla_sae_ros.sae import SaeBundle, TopKSAE

SITES = {
    "act": ("module:model.encoder.layers.0", "model.encoder.layers.0.norm2"),
    "diffusion": (
        "module:diffusion.unet.down_modules.0.0",
        "diffusion.unet.down_modules.0.0.residual_conv",
    ),
}
"""A site, and the module whose bias is added to what it puts out."""
FEATURE, VALUE, SEED = 4, 4.0, 3


@pytest.fixture(scope="module", params=SITES)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def folder(kind: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_small(kind, tmp_path_factory.mktemp(kind), CAMERA_KEYS)


@pytest.fixture
def served(
    ros_context: Context,
    kind: str,
    folder: Path,
    make_bundle: Callable[..., SaeBundle],
    tmp_path: Path,
) -> Iterator[tuple[FakeBridge, SaeBundle]]:
    """A policy node with one site of the policy's modules, and a bridge."""
    bundle = without_normalisation(make_bundle(load_policy(folder), SITES[kind][0]))
    bundle.save(tmp_path / "sae")
    with fake_bridge.served(
        ros_context,
        policy=str(folder),
        bundles=[str(tmp_path / "sae")],
        slew_limit=1e6,
        cap=100.0,
    ) as (_, bridge):
        yield bridge, bundle


def without_normalisation(bundle: SaeBundle) -> SaeBundle:
    """Return a bundle whose edits add the same vector to every token and at every run."""
    sae = bundle.sae
    plain = TopKSAE(sae.W_enc, sae.b_enc, sae.W_dec, sae.b_dec, sae.k, "none")
    return SaeBundle(plain, replace(bundle.card, normalization="none"), bundle.catalogue)


def actions_of(chunk: ActionChunk) -> np.ndarray:
    return np.array(chunk.actions, np.float32).reshape(chunk.horizon, chunk.action_dim)


def plain_actions(loaded: LoadedPolicy, step: int) -> np.ndarray:
    """Return what the policy does without any SAE on the bridge's observation of a step."""
    picture = np.random.default_rng(step).integers(0, 256, (256, 256, 3), np.uint8)
    state = np.array([0.1, 0.2, 0.3, np.pi, 0.0, 0.0, 0.01, -0.01], np.float32)
    frame = {**dict.fromkeys(CAMERA_KEYS, picture), "observation.state": state}
    engine = PolicyEngine(loaded)
    return engine.infer(frame, INSTRUCTION, (SEED, step)).actions


def with_added(loaded: LoadedPolicy, module: str, vector: torch.Tensor) -> LoadedPolicy:
    """Let the policy's own weights add a vector to what its module puts out."""
    part = loaded.policy.get_submodule(module)
    with torch.no_grad():
        part.bias += vector
    return loaded


def test_it_is_read_and_edited_as_by_its_own_weights(
    served: tuple[FakeBridge, SaeBundle], kind: str, folder: Path
) -> None:
    bridge, bundle = served
    site, module = SITES[kind]
    first = bridge.chunk(2)
    plain = plain_actions(load_policy(folder), 2)
    assert actions_of(first).tobytes() == plain.tobytes(), "observing changes no bit"
    features = bridge.wait_for(FeatureActivations, lambda m: m.chunk_id == first.chunk_id)
    assert features.site == site and len(features.index) > 0
    np.testing.assert_array_equal(features.natural, features.applied)

    assert bridge.steer(Edit(FEATURE, Mode.ADD, VALUE, site, token_groups=("token",))).accepted
    bridge.wait_for(SteeringState, lambda m: any(one.applied == VALUE for one in m.edits))
    edited = bridge.chunk(4)
    assert edited.steering_revision > first.steering_revision
    changed = with_added(load_policy(folder), module, VALUE * bundle.sae.W_dec[FEATURE])
    np.testing.assert_allclose(actions_of(edited), plain_actions(changed, 4), atol=1e-4)
    assert np.abs(actions_of(edited) - plain_actions(load_policy(folder), 4)).max() > 1e-3
