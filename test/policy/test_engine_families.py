"""The engine on other families than SmolVLA, and in other precisions than float32."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_families import statistics

from vla_sae_ros.core.errors import ObservationError
from vla_sae_ros.core.steering import AppliedEdit, Mode, Snapshot
from vla_sae_ros.policy.checkpoints.loaded import LoadedPolicy
from vla_sae_ros.policy.engine import PolicyEngine
from vla_sae_ros.policy.loading import load_policy
from vla_sae_ros.policy.tiny.tiny_pi import PiSize, build_tiny_pi, save_tiny_pi
from vla_sae_ros.policy.tiny.tiny_smolvla import CAMERA_KEYS
from vla_sae_ros.sae import SaeBundle

INSTRUCTION = "pick up the butter and place it in the basket"
PICTURE = np.full((256, 256, 3), 90, np.uint8)
FRAME = {**dict.fromkeys(CAMERA_KEYS, PICTURE), "observation.state": np.zeros(8, np.float32)}


@pytest.mark.parametrize("family", ["pi0", "pi05"])
def test_nobody_has_to_take_the_pictures_of_empty_cameras(family: str, tmp_path: Path) -> None:
    policy = build_tiny_pi(family, empty_cameras=2)
    empty = sorted(set(policy.config.input_features) - set(FRAME))
    assert len(empty) == 2
    save_tiny_pi(policy, PiSize(), statistics(), tmp_path)
    engine = PolicyEngine(load_policy(tmp_path))
    assert engine.input_features == set(FRAME)
    engine.warm_up()
    seen: list[torch.Tensor] = []
    handle = engine.adapter.attach("backbone.0", lambda x: seen.append(x))
    actions = engine.infer(FRAME, INSTRUCTION, (1, 0)).actions
    handle.remove()
    assert np.isfinite(actions).all()
    batch = engine.loaded.preprocessor(engine._to_batch(FRAME, INSTRUCTION))
    camera = engine.adapter.token_masks("backbone.0", batch)["camera"]
    assert camera.shape == seen[0].shape[:2]
    places = engine.adapter.camera_patches("backbone.0", batch)
    assert [place.camera for place in places] == list(CAMERA_KEYS)
    assert int(camera.sum()) == places[-1].stop
    with pytest.raises(ObservationError, match="wrist"):
        engine.infer({k: v for k, v in FRAME.items() if "wrist" not in k}, INSTRUCTION, (1, 0))


@pytest.fixture(params=["smolvla", "pi0", "pi05"])
def in_bfloat16(
    request: pytest.FixtureRequest, tiny_policy_folder: Path, tmp_path: Path
) -> LoadedPolicy:
    """A policy as lerobot runs it in half precision: both stacks cast, the projections not."""
    if request.param == "smolvla":
        loaded = load_policy(tiny_policy_folder)
        loaded.policy.model.vlm_with_expert.to(torch.bfloat16)
        return loaded
    save_tiny_pi(build_tiny_pi(request.param), PiSize(), statistics(), tmp_path)
    loaded = load_policy(tmp_path)
    loaded.policy.model.paligemma_with_expert.to_bfloat16_for_selected_params("bfloat16")
    return loaded


@pytest.mark.parametrize("site", ["backbone.0", "expert.1"])
@pytest.mark.parametrize("pooling", ["mean", "token"])
def test_a_bfloat16_policy_is_read_and_steered(
    in_bfloat16: LoadedPolicy, make_bundle: Callable[..., SaeBundle], site: str, pooling: str
) -> None:
    plain = PolicyEngine(in_bfloat16).infer(FRAME, INSTRUCTION, (1, 0)).actions
    engine = PolicyEngine(in_bfloat16, [make_bundle(in_bfloat16, site, pooling)])
    streams: list[torch.dtype] = []
    watch = engine.adapter.attach(site, lambda x: streams.append(x.dtype))

    def act(*edits: AppliedEdit) -> np.ndarray:
        inference = engine.infer(FRAME, INSTRUCTION, (1, 0), Snapshot(1, {site: edits}))
        assert np.isfinite(inference.sites[0].natural).all()
        assert (inference.sites[0].edit_norm_ratio > 0.0) == (edits == (steering,))
        return inference.actions

    steering = AppliedEdit(3, Mode.CLAMP, 8.0, 1.0)
    try:
        assert act().tobytes() == plain.tobytes()
        assert act(AppliedEdit(3, Mode.ADD, 0.0, 1.0)).tobytes() == plain.tobytes()
        steered = act(steering)
    finally:
        watch.remove()
        engine.close()
    assert set(streams) == {torch.bfloat16}
    assert np.isfinite(steered).all()
    assert steered.tobytes() != plain.tobytes()


class Sampler(torch.nn.Module):
    """Samples through a layer, as lerobot's policies do in the method that they compile."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(4, 4)

    def sample(self, x: torch.Tensor) -> torch.Tensor:
        return 2.0 * self.layer(x)


def test_a_compiled_policy_goes_on_without_a_hook_that_comes_later() -> None:
    """Why a policy that compiles itself is refused: its edits would be lost without a word."""
    it, x = Sampler(), torch.ones(1, 4)
    compiled = torch.compile(it.sample, backend="eager")
    with torch.inference_mode():
        before = compiled(x)
        handle = it.layer.register_forward_hook(lambda _module, _args, out: out + 1.0)
        after, uncompiled = compiled(x), it.sample(x)
        handle.remove()
    assert torch.equal(uncompiled, before + 2.0)
    assert torch.equal(after, before)
