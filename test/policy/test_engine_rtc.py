"""Real-time chunking through the engine, against a direct call of lerobot's own classes."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from lerobot.policies.rtc.configuration_rtc import RTCConfig
from tiny_families import statistics

from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.core.steering import AppliedEdit, Mode, Snapshot
from vla_sae_ros.policy.checkpoints.loaded import LoadedPolicy
from vla_sae_ros.policy.engine import PolicyEngine
from vla_sae_ros.policy.families.registry import FAMILIES
from vla_sae_ros.policy.inference import Continued
from vla_sae_ros.policy.loading import load_policy
from vla_sae_ros.policy.tiny.tiny_pi import PiSize, build_tiny_pi, save_tiny_pi
from vla_sae_ros.policy.tiny.tiny_smolvla import CAMERA_KEYS
from vla_sae_ros.sae import SaeBundle

INSTRUCTION = "pick up the butter and place it in the basket"
SITES = ("backbone.0", "expert.1")


def frame(step: int) -> dict[str, np.ndarray]:
    drawn = np.random.default_rng(step)
    pictures = {key: drawn.integers(0, 256, (256, 256, 3), np.uint8) for key in CAMERA_KEYS}
    return {**pictures, "observation.state": drawn.normal(size=8).astype(np.float32)}


@pytest.fixture(params=["smolvla", "pi0", "pi05"])
def served(
    request: pytest.FixtureRequest, tiny_policy_folder: Path, tmp_path: Path
) -> LoadedPolicy:
    if request.param == "smolvla":
        return load_policy(tiny_policy_folder)
    save_tiny_pi(build_tiny_pi(request.param), PiSize(), statistics(), tmp_path)
    return load_policy(tmp_path)


@pytest.fixture
def engine(served: LoadedPolicy, make_bundle: Callable[..., SaeBundle]) -> PolicyEngine:
    made = PolicyEngine(copy.deepcopy(served), [make_bundle(served, site) for site in SITES])
    made.enable_rtc()
    return made


def same(one: np.ndarray | None, other: np.ndarray | None) -> bool:
    assert one is not None and other is not None
    return one.tobytes() == other.tobytes()


def test_a_continued_chunk_is_lerobots_own_to_the_bit(
    served: LoadedPolicy, engine: PolicyEngine
) -> None:
    first = engine.infer(frame(0), INSTRUCTION, (3, 0))
    assert first.normalised is not None
    rest = first.normalised[2:]
    second = engine.infer(frame(2), INSTRUCTION, (3, 2), previous=Continued(rest, 1, 7))

    policy = served.policy
    policy.config.rtc_config = RTCConfig()
    policy.init_rtc_processor()
    plain = PolicyEngine(served)
    with torch.no_grad():
        batch = plain.inputs(frame(2), INSTRUCTION)
        chunk = policy.predict_action_chunk(
            batch,
            noise=plain.noise((3, 2)),
            prev_chunk_left_over=torch.from_numpy(rest)[None],
            inference_delay=1,
        )
        actions = served.postprocessor(chunk)[0].numpy()
    assert same(second.normalised, chunk[0].numpy())
    assert same(second.actions, actions)
    assert second.continued is not None and second.continued.chunk_id == 7
    from_scratch = engine.infer(frame(2), INSTRUCTION, (3, 2))
    assert not same(second.actions, from_scratch.actions)
    assert from_scratch.continued is None


def test_without_a_previous_chunk_actions_are_the_plain_policys_to_the_bit(
    served: LoadedPolicy, engine: PolicyEngine
) -> None:
    plain = PolicyEngine(served).infer(frame(0), INSTRUCTION, (3, 0))
    assert same(engine.infer(frame(0), INSTRUCTION, (3, 0)).actions, plain.actions)
    assert plain.normalised is None


def test_an_edit_changes_a_continued_chunk_and_a_neutral_one_does_not(engine: PolicyEngine) -> None:
    first = engine.infer(frame(0), INSTRUCTION, (3, 0))
    assert first.normalised is not None
    previous = Continued(first.normalised[2:], 0, 1)

    def chunk(value: float) -> np.ndarray:
        edits = {"expert.1": (AppliedEdit(3, Mode.ADD, value, 1.0),)}
        snapshot = Snapshot(1, edits)
        return engine.infer(frame(2), INSTRUCTION, (3, 2), snapshot, previous).actions

    unedited = engine.infer(frame(2), INSTRUCTION, (3, 2), previous=previous).actions
    assert same(chunk(0.0), unedited)
    assert not same(chunk(5.0), unedited)


def test_the_settings_of_the_checkpoint_count_and_only_enabled_is_set(
    served: LoadedPolicy,
) -> None:
    served.policy.config.rtc_config = RTCConfig(enabled=False, execution_horizon=3)
    told = PolicyEngine(served).enable_rtc()
    assert served.policy.config.rtc_config == RTCConfig(enabled=True, execution_horizon=3)
    assert "max_guidance_weight 10 in " in told and "LINEAR over execution_horizon 3" in told


def test_relative_actions_are_refused(served: LoadedPolicy) -> None:
    served.policy.config.use_relative_actions = True
    with pytest.raises(ConfigurationError, match="use_relative_actions"):
        PolicyEngine(served).enable_rtc()


@pytest.mark.parametrize(
    "family", [name for name, family in FAMILIES.items() if not family.continues_chunks]
)
def test_a_family_without_it_is_refused_by_name(
    loaded: LoadedPolicy, family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = PolicyEngine(loaded)
    monkeypatch.setattr(type(loaded.policy), "name", family)
    with pytest.raises(ConfigurationError, match=f"got '{family}'; allowed: smolvla, pi0, pi05"):
        engine.enable_rtc()
