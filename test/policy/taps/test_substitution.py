"""The reconstruction in the place of the residual stream, on the real SmolVLA class, shrunken."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch

from vla_sae_ros.policy.checkpoints.loaded import LoadedPolicy
from vla_sae_ros.policy.engine import PolicyEngine
from vla_sae_ros.sae import SaeBundle, TopKSAE

INSTRUCTION = "pick up the butter and place it in the basket"


@pytest.fixture
def frame() -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    return {
        "observation.images.agentview": random.integers(0, 256, (256, 256, 3), dtype=np.uint8),
        "observation.images.wrist": random.integers(0, 256, (256, 256, 3), dtype=np.uint8),
        "observation.state": random.normal(size=8).astype(np.float32),
    }


@pytest.fixture
def engine(loaded: LoadedPolicy) -> Iterator[PolicyEngine]:
    made = PolicyEngine(loaded)
    yield made
    made.close()


def perfect(bundle: SaeBundle) -> SaeBundle:
    """Give the bundle an autoencoder that reconstructs everything: +- every axis, all active."""
    width = bundle.card.d_in
    rows = torch.cat([torch.eye(width), -torch.eye(width)])
    sae = TopKSAE(rows.T, torch.zeros(2 * width), rows, torch.zeros(width), 8, "layer_norm")
    sae.k = 2 * width
    object.__setattr__(bundle, "sae", sae)
    return bundle


@pytest.mark.parametrize("pooling", ["mean", "token"])
@pytest.mark.parametrize("site", ["backbone.1", "expert.1"])
def test_a_perfect_reconstruction_changes_nothing_and_a_bad_one_does(
    engine: PolicyEngine,
    loaded: LoadedPolicy,
    make_bundle: Callable[..., SaeBundle],
    frame: dict[str, np.ndarray],
    site: str,
    pooling: str,
) -> None:
    plain = engine.infer(frame, INSTRUCTION, (1, 0)).actions
    bad = engine.attach_substitution(make_bundle(loaded, site, pooling))
    good = engine.attach_substitution(perfect(make_bundle(loaded, site, pooling)))
    np.testing.assert_array_equal(engine.infer(frame, INSTRUCTION, (1, 0)).actions, plain)
    good.active = True
    substituted = engine.infer(frame, INSTRUCTION, (1, 0)).actions
    np.testing.assert_allclose(substituted, plain, atol=1e-4)
    good.active, bad.active = False, True
    assert np.abs(engine.infer(frame, INSTRUCTION, (1, 0)).actions - plain).max() > 1e-3


def test_the_mean_over_the_tokens_becomes_the_reconstruction(
    engine: PolicyEngine,
    loaded: LoadedPolicy,
    make_bundle: Callable[..., SaeBundle],
    frame: dict[str, np.ndarray],
) -> None:
    bundle = make_bundle(loaded, "backbone.0")
    read: list[torch.Tensor] = []
    engine.attach_substitution(bundle).active = True
    engine.attach_probe("backbone.0", True, lambda x, _norm: read.append(x.clone()))
    engine.infer(frame, INSTRUCTION, (1, 0))
    before = PolicyEngine(loaded)
    before.attach_probe("backbone.0", True, lambda x, _norm: read.append(x.clone()))
    engine.close()
    before.infer(frame, INSTRUCTION, (1, 0))
    before.close()
    torch.testing.assert_close(read[0], bundle.sae.reconstruct(read[1]), atol=1e-4, rtol=1e-4)
