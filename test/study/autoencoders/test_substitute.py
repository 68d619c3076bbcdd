"""What the policy does in an environment with reconstructions in its residual stream."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from lerobot.configs.types import FeatureType, PolicyFeature
from observed_episodes import SITE, collect_observed, train_sae_arguments
from perfect_bundle import perfect
from tiny_families import statistics

from vla_sae_ros.cli import main
from vla_sae_ros.policy.checkpoints.loaded import LoadedPolicy
from vla_sae_ros.policy.engine import PolicyEngine
from vla_sae_ros.policy.loading import load_policy
from vla_sae_ros.policy.tiny.tiny_pi import PiSize, build_tiny_pi, save_tiny_pi
from vla_sae_ros.sae import SaeBundle
from vla_sae_ros.sim import libero
from vla_sae_ros.sim.environment import Layout, Observation, StepResult, TaskSpec
from vla_sae_ros.study.autoencoders.substitution import in_environment
from vla_sae_ros.study.rollouts.trials import Trial

TASK = TaskSpec("fake", 0, "task", "pick up the butter", 12, Path("p"), Path("i"))
TRIALS = [Trial(TASK, 40 + seed, seed, Layout()) for seed in (0, 1)]
EXECUTE = 4


class FakeEnvironment:
    """A hand that moves as told; success where `succeeds` says so of its place and step."""

    cameras = ("agentview", "wrist")

    def __init__(self, succeeds: Callable[[np.ndarray, int], bool]) -> None:
        self._succeeds = succeeds
        self.resets: list[tuple[int, int]] = []
        self.paths: list[list[np.ndarray]] = []

    def reset(
        self, task: TaskSpec, init_state: int, seed: int, layout: Layout | None = None
    ) -> Observation:
        self.resets.append((init_state, seed))
        self._at = np.array([0.01 * seed, 0.0, 0.2])
        self.paths.append([])
        return self._observe()

    def step(self, action: np.ndarray) -> StepResult:
        self._at = self._at + 0.03 * action[:3]
        self.paths[-1].append(action)
        return StepResult(self._observe(), self._succeeds(self._at, len(self.paths[-1])))

    def render(self, camera: str) -> np.ndarray:
        shade = int(abs(self._at.sum()) * 500) % 256
        return np.full((64, 96, 3), shade, np.uint8)

    def object_positions(self) -> dict[str, np.ndarray]:
        return {}

    def _observe(self) -> Observation:
        upright = np.array([0.0, 0.0, 0.0, 1.0])
        return Observation(np.zeros(7), self._at, upright, np.array([0.04, -0.04]))


def never(_place: np.ndarray, _step: int) -> bool:
    return False


def test_every_trial_runs_plain_and_then_with_reconstructions(
    loaded: LoadedPolicy, make_bundle: Callable[..., SaeBundle]
) -> None:
    bundle = make_bundle(loaded, SITE)
    environment = FakeEnvironment(never)
    effect = in_environment(loaded, bundle, environment, TRIALS, EXECUTE)
    assert environment.resets == [(40, 0), (41, 1), (40, 0), (41, 1)]
    plain, substituted = environment.paths[:2], environment.paths[2:]
    # What an engine without any SAE does, asked by nobody but this test.
    engine = PolicyEngine(loaded)
    first = FakeEnvironment(never)
    at = first.reset(TASK, 40, 0)
    state = np.concatenate([at.ee_position, np.zeros(3), at.gripper_qpos]).astype(np.float32)
    frame = {f"observation.images.{one}": first.render(one) for one in first.cameras}
    asked = engine.infer({**frame, "observation.state": state}, TASK.instruction, (0, 0)).actions
    engine.close()
    np.testing.assert_array_equal(plain[0][:EXECUTE], np.clip(asked[:EXECUTE], -1, 1))
    assert not np.allclose(plain[0], substituted[0])
    assert effect.actions.inferences == 2 * 12 / EXECUTE and effect.actions.mean > 0
    assert (effect.plain, effect.substituted, effect.episodes) == (0, 0, 2)


def test_successes_are_counted_on_their_own_side(
    loaded: LoadedPolicy, make_bundle: Callable[..., SaeBundle]
) -> None:
    bundle = make_bundle(loaded, SITE)
    environment = FakeEnvironment(never)
    in_environment(loaded, bundle, environment, TRIALS, EXECUTE)
    aims = [path[0] for path in environment.paths]

    def as_plain_one(_place: np.ndarray, _step: int) -> bool:
        return np.array_equal(told.paths[-1][0], aims[1])

    told = FakeEnvironment(as_plain_one)
    effect = in_environment(loaded, bundle, told, TRIALS, EXECUTE)
    assert (effect.plain, effect.substituted, effect.episodes) == (1, 0, 2)
    said = effect.in_words()
    assert "plain 1 of 2 episodes (95 % interval 9% to 91%)" in said
    assert "with the reconstruction 0 of 2 episodes" in said
    assert effect.as_metrics()["success_plain"] == 0.5
    assert effect.as_metrics()["success_substituted"] == 0.0


def test_a_perfect_reconstruction_changes_neither_actions_nor_success(
    loaded: LoadedPolicy, make_bundle: Callable[..., SaeBundle]
) -> None:
    bundle = perfect(make_bundle(loaded, SITE))
    environment = FakeEnvironment(lambda _place, step: step == 7)
    effect = in_environment(loaded, bundle, environment, TRIALS, EXECUTE)
    assert effect.actions.mean < 1e-4 and (effect.plain, effect.substituted) == (2, 2)


def test_train_sae_writes_success_into_the_card_and_refuses_before_training(
    loaded: LoadedPolicy,
    tiny_policy_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    collect_observed(loaded, tmp_path / "act", [0, 1, 2], keep=False)
    arguments = train_sae_arguments(tmp_path / "act", tmp_path / "sae")
    arguments += ["--env", "libero_object", "--env-episodes", "1"]
    for wrong, word in (
        ([], "--policy"),
        (["--env-episodes", "0"], "1 or more"),
        (["--env-tasks", "77"], "Unknown task"),
        (["--env", "libero_objekt"], "libero_object"),
    ):
        assert main([*arguments, *wrong]) == 2
        assert word in capsys.readouterr().err
        assert not (tmp_path / "sae-run").exists(), "nothing was trained"
    environments = in_the_place_of_libero(monkeypatch)
    assert main([*arguments, "--policy", str(tiny_policy_folder)]) == 0
    assert len(environments[0].resets) == 2
    metrics = SaeBundle.load(tmp_path / "sae").card.metrics
    assert (metrics["success_plain"], metrics["success_substituted"]) == (1.0, 1.0)
    assert metrics["substitution_action_error"] > 0
    assert "with the reconstruction 1 of 1 episodes" in capsys.readouterr().out


def test_substitute_adds_the_numbers_to_a_bundle_that_exists_and_changes_nothing_else(
    loaded: LoadedPolicy,
    tiny_policy_folder: Path,
    make_bundle: Callable[..., SaeBundle],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    bundle, folder = make_bundle(loaded, SITE), tmp_path / "sae"
    bundle.save(folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    environments = in_the_place_of_libero(monkeypatch)
    asked = ["substitute", str(folder), "--env-episodes", "2"]
    assert main(asked) == 2, "the demonstration policy is another one"
    assert "does not fit" in capsys.readouterr().err
    assert main([*asked, "--policy", str(tiny_policy_folder), "--env-episodes", "0"]) == 2
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert main([*asked, "--policy", str(tiny_policy_folder)]) == 0
    assert [state for state, _ in environments[-1].resets] == [40, 41, 40, 41]
    card = SaeBundle.load(folder).card
    assert (card.metrics["success_plain"], card.metrics["substitution_episodes"]) == (1.0, 2.0)
    assert replace(card, metrics=bundle.card.metrics) == bundle.card
    after = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert {name for name in after if after[name] != before.get(name)} == {"bundle.yaml"}


def test_a_policy_s_other_names_of_the_cameras_are_told_with_map(
    tmp_path: Path, make_bundle: Callable[..., SaeBundle], monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    cameras = [f"observation.images.camera{number}" for number in (1, 2)]
    features = {one: PolicyFeature(FeatureType.VISUAL, (3, 64, 64)) for one in cameras}
    features["observation.state"] = PolicyFeature(FeatureType.STATE, (8,))
    other = build_tiny_pi("pi05", PiSize(), input_features=features)
    save_tiny_pi(other, PiSize(), statistics(), tmp_path / "policy")
    make_bundle(load_policy(tmp_path / "policy"), SITE).save(tmp_path / "sae")
    environments = in_the_place_of_libero(monkeypatch)
    asked = ["substitute", str(tmp_path / "sae"), "--policy", str(tmp_path / "policy")]
    asked += ["--env-episodes", "1"]
    assert main(asked) == 2
    refusal = capsys.readouterr().err
    assert environments[-1].resets == [], "nothing was started"
    advice = refusal.partition("--map ")[2].split()[0]
    assert advice == f"agentview={cameras[0]},wrist={cameras[1]}"
    assert main([*asked, "--map", advice]) == 0
    assert "success_plain" in SaeBundle.load(tmp_path / "sae").card.metrics
    assert main([*asked, "--map", "agentview"]) == 2


def in_the_place_of_libero(monkeypatch: pytest.MonkeyPatch) -> list[FakeEnvironment]:
    """Let every environment be one in which each episode succeeds at its third step."""
    environments: list[FakeEnvironment] = []

    def fake_libero() -> FakeEnvironment:
        environments.append(FakeEnvironment(lambda _place, step: step == 3))
        environments[-1].close = lambda: None  # type: ignore[attr-defined]
        return environments[-1]

    monkeypatch.setattr(libero, "LiberoEnvironment", fake_libero)
    return environments
