"""The gradient of a chunk with respect to the stream, against small edits that are really made."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from vla_sae_ros.core.steering import AppliedEdit, Mode, Snapshot
from vla_sae_ros.policy.checkpoints.loaded import LoadedPolicy
from vla_sae_ros.policy.engine import PolicyEngine
from vla_sae_ros.policy.gradient import ChunkGradient, differentiable
from vla_sae_ros.policy.tiny.tiny_smolvla import CAMERA_KEYS
from vla_sae_ros.sae import SaeBundle

SMALL, SEED = 0.02, (3, 5)


def effect(actions: Tensor) -> Tensor:
    return actions[:, 2].mean() + (actions[:, 0] ** 2).sum()


def frame(engine: PolicyEngine) -> dict[str, np.ndarray]:
    draw = np.random.default_rng(0)
    return {
        name: draw.integers(0, 255, (64, 64, 3), dtype=np.uint8)
        if name in CAMERA_KEYS
        else draw.normal(size=engine.loaded.policy.config.input_features[name].shape).astype(
            np.float32
        )
        for name in engine.input_features
    }


@pytest.mark.parametrize("pooling", ["mean", "token"])
@pytest.mark.parametrize("site", ["backbone.0", "backbone.1", "expert.1"])
def test_the_gradient_is_the_slope_of_small_edits(
    loaded: LoadedPolicy, make_bundle: Callable[..., SaeBundle], site: str, pooling: str
) -> None:
    bundle = make_bundle(loaded, site, pooling)
    bare = PolicyEngine(loaded)
    seen = frame(bare)
    found = ChunkGradient(bare, [bundle]).of(seen, "go", SEED, effect)
    bare.close()
    predicted = bundle.sae.W_dec.numpy().astype(np.float64) @ found.along[site]
    tapped = PolicyEngine(loaded, [bundle])

    def value(feature: int, amount: float) -> float:
        edits = {site: (AppliedEdit(feature, Mode.ADD, amount, 1.0),)}
        actions = tapped.infer(seen, "go", SEED, Snapshot(edits=edits)).actions
        return float(effect(torch.from_numpy(actions).double()))

    try:
        plain = tapped.infer(seen, "go", SEED).actions
        assert found.value == pytest.approx(float(effect(torch.from_numpy(plain))), rel=1e-4)
        features = np.argsort(-np.abs(predicted))[:5].tolist()
        made = [(value(one, SMALL) - value(one, -SMALL)) / (2 * SMALL) for one in features]
    finally:
        tapped.close()
    np.testing.assert_allclose(predicted[features], made, rtol=0.05)


def test_differentiating_leaves_the_policy_as_it_was(loaded: LoadedPolicy) -> None:
    engine = PolicyEngine(loaded)
    seen = frame(engine)
    before = engine.infer(seen, "go", SEED).actions
    needing = [weight.requires_grad for weight in loaded.policy.parameters()]
    with pytest.raises(ZeroDivisionError), differentiable(loaded.policy):
        assert not any(weight.requires_grad for weight in loaded.policy.parameters())
        raise ZeroDivisionError
    assert [weight.requires_grad for weight in loaded.policy.parameters()] == needing
    assert "predict_action_chunk" not in loaded.policy.__dict__
    assert np.array_equal(engine.infer(seen, "go", SEED).actions, before)
    engine.close()
