"""The exported policy against the same policy in PyTorch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from same_inference import assert_same_inference

from vla_sae_ros.core.errors import ConfigurationError, ObservationError
from vla_sae_ros.core.steering import AppliedEdit, Mode, Snapshot
from vla_sae_ros.policy.checkpoints.loaded import LoadedPolicy
from vla_sae_ros.policy.engine import PolicyEngine
from vla_sae_ros.policy.onnx.engine import OnnxEngine
from vla_sae_ros.sae import SaeBundle

INSTRUCTION = "pick up the butter and place it in the basket"
SITES = ("backbone.1", "expert.0")


@pytest.fixture(scope="module")
def engine(export_folder: Path, bundle_folders: list[Path]) -> OnnxEngine:
    return OnnxEngine(export_folder, bundle_folders)


@pytest.fixture(scope="module")
def reference(loaded: LoadedPolicy, bundles: list[SaeBundle]) -> Iterator[PolicyEngine]:
    engine = PolicyEngine(loaded, bundles)
    yield engine
    engine.close()


def add(
    feature: int,
    value: float,
    weight: float = 1.0,
    groups: tuple[str, ...] = (),
    steps: tuple[int, ...] = (),
) -> AppliedEdit:
    return AppliedEdit(feature, Mode.ADD, value, weight, groups, steps)


def clamp(feature: int, value: float, weight: float = 1.0) -> AppliedEdit:
    return AppliedEdit(feature, Mode.CLAMP, value, weight)


def scale(feature: int, value: float) -> AppliedEdit:
    return AppliedEdit(feature, Mode.SCALE, value, 1.0)


def project(feature: int, weight: float = 1.0, groups: tuple[str, ...] = ()) -> AppliedEdit:
    return AppliedEdit(feature, Mode.PROJECT_OUT, 0.0, weight, groups)


STRENGTHS = {
    "clamp": (clamp(3, 4.0), clamp(5, 0.0)),
    "add": (add(3, 2.0), add(4, -1.0)),
    "scale": tuple(scale(feature, 3.0) for feature in range(20)),
    "half a ramp": (clamp(3, 4.0, weight=0.5), project(6, weight=0.25)),
    "projections see one another": (project(3), project(4, 0.7), project(5), add(6, 1.0)),
    "some denoising steps": (add(3, 2.0, steps=(0, 2)), add(4, 2.0, steps=(1,))),
}
SCOPED = {
    "cameras": (add(3, 3.0, groups=("camera",)), project(4, groups=("camera",))),
    "words and state": (add(3, 3.0, groups=("language",)), project(4, groups=("state",))),
}
CASES = [
    *((site, edits) for site in SITES for edits in STRENGTHS.values()),
    *((site, edits) for site in SITES[:1] for edits in SCOPED.values()),
]
NAMES = [
    *(f"{site}, {name}" for site in SITES for name in STRENGTHS),
    *(f"{site}, {name}" for site in SITES[:1] for name in SCOPED),
]


@pytest.mark.parametrize("instruction", [INSTRUCTION, "stop", ""])
def test_plain_actions_and_read_outs_are_those_of_pytorch(
    engine: OnnxEngine, reference: PolicyEngine, frame: dict[str, np.ndarray], instruction: str
) -> None:
    got, wanted = (one.infer(frame, instruction, (1, 2)) for one in (engine, reference))
    assert_same_inference(got, wanted)
    assert [site.site for site in got.sites] == list(SITES)


@pytest.mark.parametrize(("site", "edits"), CASES, ids=NAMES)
@pytest.mark.parametrize("cap", [100.0, 0.05])
def test_edited_actions_and_read_outs_are_those_of_pytorch(
    engine: OnnxEngine,
    reference: PolicyEngine,
    frame: dict[str, np.ndarray],
    site: str,
    edits: tuple[AppliedEdit, ...],
    cap: float,
) -> None:
    steering = Snapshot(7, {site: edits}, cap)
    plain = reference.infer(frame, INSTRUCTION, (1, 2)).actions
    got, wanted = (one.infer(frame, INSTRUCTION, (1, 2), steering) for one in (engine, reference))
    assert np.abs(wanted.actions - plain).max() > 1e-3, "the edits of this case do something"
    assert_same_inference(got, wanted)
    assert (got.revision, got.bypassed) == (7, False)


def test_edits_on_all_sites_at_once_are_those_of_pytorch(
    engine: OnnxEngine, reference: PolicyEngine, frame: dict[str, np.ndarray]
) -> None:
    edits = (clamp(3, 2.0), add(9, 1.0), project(4))
    steering = Snapshot(1, dict.fromkeys(SITES, edits), 0.5)
    got, wanted = (one.infer(frame, INSTRUCTION, (1, 2), steering) for one in (engine, reference))
    np.testing.assert_allclose(got.actions, wanted.actions, atol=1e-4)


def test_a_neutral_edit_is_no_edit_to_the_bit(
    engine: OnnxEngine, frame: dict[str, np.ndarray]
) -> None:
    neutral = (scale(3, 1.0), add(4, 0.0), clamp(5, 9.0, weight=0.0), project(6, weight=0.0))
    steering = Snapshot(1, dict.fromkeys(SITES, neutral), 0.5)
    plain = engine.infer(frame, INSTRUCTION, (1, 2)).actions
    edited = engine.infer(frame, INSTRUCTION, (1, 2), steering).actions
    assert edited.tobytes() == plain.tobytes()


def test_an_inference_leaves_no_trace_in_the_next_one(
    engine: OnnxEngine, frame: dict[str, np.ndarray]
) -> None:
    before = engine.infer(frame, INSTRUCTION, (1, 2))
    engine.infer(frame, "stop", (5, 6), Snapshot(1, dict.fromkeys(SITES, (clamp(3, 9.0),))))
    after = engine.infer(frame, INSTRUCTION, (1, 2))
    assert after.actions.tobytes() == before.actions.tobytes()
    assert not any(site.edit_norm_ratio for site in after.sites)


def test_the_steering_learns_the_same_about_the_sites(
    engine: OnnxEngine, reference: PolicyEngine
) -> None:
    for got, wanted in zip(engine.steering_sites(), reference.steering_sites(), strict=True):
        assert got.observed_max.tolist() == wanted.observed_max.tolist()
        for name in (
            "name",
            "residual_norm_activation",
            "token_groups",
            "denoising_steps",
            "why_not",
        ):
            assert getattr(got, name) == getattr(wanted, name)
    assert engine.policy_id == reference.policy_id
    assert engine.input_features == reference.input_features
    assert [one.bundle_id for one in engine.bundles] == [one.bundle_id for one in reference.bundles]


def test_observations_that_do_not_fit_are_refused_by_name(
    engine: OnnxEngine, frame: dict[str, np.ndarray]
) -> None:
    half = {key: value for key, value in frame.items() if "wrist" not in key}
    with pytest.raises(ObservationError, match="wrist"):
        engine.infer(half, INSTRUCTION, (0, 0))
    for broken in (np.full(8, np.nan, np.float32), np.zeros(7, np.float32)):
        with pytest.raises(ObservationError, match=r"observation\.state"):
            engine.infer({**frame, "observation.state": broken}, INSTRUCTION, (0, 0))
    with pytest.raises(ObservationError, match="agentview"):
        grey = np.zeros((256, 256), np.uint8)
        engine.infer({**frame, "observation.images.agentview": grey}, INSTRUCTION, (0, 0))


def test_a_device_that_is_not_there_is_refused_by_name(export_folder: Path) -> None:
    with pytest.raises(ConfigurationError, match="onnxruntime-gpu"):
        OnnxEngine(export_folder, device="cuda:0")
    with pytest.raises(ConfigurationError, match="gpu0"):
        OnnxEngine(export_folder, device="gpu0")
