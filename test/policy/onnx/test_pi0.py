"""pi0 and pi0.5, exported, against themselves in PyTorch."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from lerobot.policies.rtc.configuration_rtc import RTCConfig
from lerobot.processor import RelativeActionsProcessorStep
from same_inference import assert_same_inference

from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.core.steering import AppliedEdit, Mode, Snapshot
from vla_sae_ros.policy.checkpoints.loaded import LoadedPolicy
from vla_sae_ros.policy.engine import PolicyEngine
from vla_sae_ros.policy.export.pi0 import Pi0Graphs
from vla_sae_ros.policy.export.processors import save_tokenizer, state_rule
from vla_sae_ros.policy.export.writing import Source, write_export
from vla_sae_ros.policy.loading import load_policy
from vla_sae_ros.policy.onnx.engine import OnnxEngine
from vla_sae_ros.policy.onnx.prompt import Prompt
from vla_sae_ros.policy.tiny.tiny_pi import PiSize, build_tiny_pi, save_tiny_pi
from vla_sae_ros.sae import SaeBundle

PLACES = (("backbone.0", "token"), ("expert.0", "mean"))
INSTRUCTION = "pick up the butter"
SIZE = PiSize(layers=2, language=96)


@dataclass(frozen=True)
class Pair:
    """A policy on both engines."""

    exported: OnnxEngine
    torch: PolicyEngine

    def agree(self, frame: dict[str, np.ndarray], words: str, steering: Snapshot) -> np.ndarray:
        """Require the same of both; return the actions."""
        got, wanted = (
            one.infer(frame, words, (1, 2), steering) for one in (self.exported, self.torch)
        )
        assert_same_inference(got, wanted)
        return wanted.actions


@pytest.fixture(scope="module", params=["pi0", "pi05"])
def pi_policy(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> LoadedPolicy:
    folder = tmp_path_factory.mktemp(request.param) / "policy"
    save_tiny_pi(build_tiny_pi(request.param, SIZE), SIZE, statistics(), folder)
    return load_policy(folder)


@pytest.fixture(scope="module")
def pair(
    pi_policy: LoadedPolicy,
    make_bundle: Callable[..., SaeBundle],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Pair]:
    parent = tmp_path_factory.mktemp("export")
    folders = tuple(parent / site for site, _ in PLACES)
    bundles = tuple(make_bundle(pi_policy, site, pooling) for site, pooling in PLACES)
    for bundle, folder in zip(bundles, folders, strict=True):
        bundle.save(folder)
    write_export(Source(pi_policy, bundles, folders), parent / "onnx")
    engine = PolicyEngine(pi_policy, bundles)
    yield Pair(OnnxEngine(parent / "onnx", folders), engine)
    engine.close()


def statistics() -> dict[str, dict[str, torch.Tensor]]:
    """Return numbers of no round size, so that each one's place in the arithmetic counts."""
    generator = torch.Generator().manual_seed(3)
    statistics = {}
    for key, size in (("observation.state", 8), ("action", 7)):
        low = -1.0 - torch.rand(size, generator=generator)
        high = 1.0 + torch.rand(size, generator=generator)
        middle, spread = (low + high) / 2, (high - low) / 3
        statistics[key] = {"mean": middle, "std": spread, "q01": low, "q99": high}
    return statistics


def edit(mode: Mode, feature: int, value: float = 0.0, **scope: tuple) -> AppliedEdit:
    return AppliedEdit(feature, mode, value, 1.0, **scope)


EDITS = {
    "clamp and project": (edit(Mode.CLAMP, 3, 4.0), edit(Mode.PROJECT_OUT, 5)),
    "scale": tuple(edit(Mode.SCALE, feature, 3.0) for feature in range(20)),
}


@pytest.mark.slow
@pytest.mark.parametrize("words", [INSTRUCTION, " put_it\ndown"])
def test_plain_actions_and_read_outs_are_those_of_pytorch(
    pair: Pair, frame: dict[str, np.ndarray], words: str
) -> None:
    pair.agree(frame, words, Snapshot())


@pytest.mark.slow
@pytest.mark.parametrize("site", [site for site, _ in PLACES])
@pytest.mark.parametrize("edits", EDITS.values(), ids=EDITS)
@pytest.mark.parametrize("cap", [100.0, 0.05])
def test_edited_actions_and_read_outs_are_those_of_pytorch(
    pair: Pair,
    frame: dict[str, np.ndarray],
    site: str,
    edits: tuple[AppliedEdit, ...],
    cap: float,
) -> None:
    plain = pair.torch.infer(frame, INSTRUCTION, (1, 2)).actions
    edited = pair.agree(frame, INSTRUCTION, Snapshot(7, {site: edits}, cap))
    assert np.abs(edited - plain).max() > 1e-3, "the edits of this case do something"


@pytest.mark.slow
def test_every_token_group_of_every_site_is_scoped_as_in_pytorch(
    pair: Pair, frame: dict[str, np.ndarray]
) -> None:
    plain = pair.torch.infer(frame, INSTRUCTION, (1, 2)).actions
    for site in pair.torch.steering_sites():
        for group in site.token_groups:
            edits = (edit(Mode.ADD, 3, 3.0, token_groups=(group,)),)
            edited = pair.agree(frame, INSTRUCTION, Snapshot(1, {site.name: edits}, 100.0))
            assert np.abs(edited - plain).max() > 1e-3, (site.name, group)


@pytest.mark.slow
def test_edits_on_both_sites_at_some_denoising_steps_are_those_of_pytorch(
    pair: Pair, frame: dict[str, np.ndarray]
) -> None:
    expert = (edit(Mode.ADD, 3, 2.0, denoising_steps=(0,)), edit(Mode.ADD, 4, 2.0))
    steering = Snapshot(1, {"backbone.0": EDITS["scale"], "expert.0": expert}, 0.5)
    pair.agree(frame, INSTRUCTION, steering)


@pytest.mark.slow
def test_a_neutral_edit_is_no_edit_to_the_bit(pair: Pair, frame: dict[str, np.ndarray]) -> None:
    neutral = (edit(Mode.SCALE, 3, 1.0), edit(Mode.ADD, 4, 0.0))
    steering = Snapshot(1, {site: neutral for site, _ in PLACES}, 0.5)
    plain = pair.exported.infer(frame, INSTRUCTION, (1, 2)).actions
    edited = pair.exported.infer(frame, INSTRUCTION, (1, 2), steering).actions
    assert edited.tobytes() == plain.tobytes()


def test_prompts_are_lerobot_s_for_states_on_the_borders_of_digits_too(
    pi_policy: LoadedPolicy, frame: dict[str, np.ndarray], tmp_path: Path
) -> None:
    rule = state_rule(pi_policy, "observation.state")
    prompt = Prompt(tmp_path, save_tokenizer(pi_policy, tmp_path))
    border = rule.restore(np.float32(np.linspace(-1, 1, 257)[:, None].repeat(8, 1)))
    pictures = {key: torch.zeros(3, 8, 8) for key in frame if "images" in key}
    for state in (*border, *np.nextafter(border, np.float32(9.0))):
        batch = {**pictures, "observation.state": torch.from_numpy(state), "task": INSTRUCTION}
        wanted = pi_policy.preprocessor(batch)
        tokens, mask = prompt.encode(INSTRUCTION, rule.normalize(state))
        assert tokens.tolist() == wanted["observation.language.tokens"].tolist()
        assert mask.tolist() == wanted["observation.language.attention_mask"].tolist()


@pytest.mark.parametrize(
    ("name", "value"),
    [("rtc_config", RTCConfig()), ("empty_cameras", 1), ("use_relative_actions", True)],
)
def test_a_setting_that_the_graphs_would_not_follow_is_refused_by_name(
    pi_policy: LoadedPolicy,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    value: object,
) -> None:
    monkeypatch.setattr(pi_policy.policy.config, name, value)
    with pytest.raises(ConfigurationError, match=f"{name} of a policy to export"):
        write_export(Source(pi_policy, (), ()), tmp_path / "onnx")
    assert list(tmp_path.iterdir()) == []


def test_settings_of_real_time_chunking_that_is_off_are_no_obstacle(
    pi_policy: LoadedPolicy, monkeypatch: pytest.MonkeyPatch
) -> None:
    off = RTCConfig(enabled=False, max_guidance_weight=2.0)
    monkeypatch.setattr(pi_policy.policy.config, "rtc_config", off)
    Pi0Graphs(pi_policy.policy)


def test_processors_that_make_actions_relative_are_refused_by_name(
    pi_policy: LoadedPolicy, tmp_path: Path
) -> None:
    steps = [
        dataclasses.replace(step, enabled=True)
        if isinstance(step, RelativeActionsProcessorStep)
        else step
        for step in pi_policy.preprocessor.steps
    ]
    relative = dataclasses.replace(pi_policy.preprocessor, steps=steps)
    with pytest.raises(ConfigurationError, match="RelativeActionsProcessorStep"):
        write_export(
            Source(dataclasses.replace(pi_policy, preprocessor=relative), (), ()),
            tmp_path / "onnx",
        )
