"""Simulators in processes of their own, and one engine that answers them; the engine is a fake."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from walking_scene import DyingScene, FailingScene, WalkingScene, task

from vla_sae_ros.core.errors import ConfigurationError, SimulationError
from vla_sae_ros.policy.batch_engine import Row
from vla_sae_ros.study.rollouts.batched import BatchedRollouts, batch_size
from vla_sae_ros.study.rollouts.outcomes import EpisodeOutcome, OutcomeFile
from vla_sae_ros.study.rollouts.rollout import evaluate_batched
from vla_sae_ros.study.rollouts.sim_worker import play
from vla_sae_ros.study.rollouts.trials import Trial

STEPS = 4
PLANNED = {
    "policy": "fake",
    "execute_steps": STEPS,
    "suite": "walk",
    "task_index": 0,
    "instruction": "walk on",
    "asked_for_another": False,
    "target": "can_1",
    "init_state": 0,
    "moved_m": 0.0,
    "exchanged": None,
}


class FakeEngine:
    """Every action of a chunk is the mean of its row's noise, which only its seed decides."""

    adapter = SimpleNamespace(noise_shape=(6, 7))
    policy_id = "fake"

    def __init__(self) -> None:
        self.rows: list[Row] = []

    def infer(self, rows: list[Row]) -> list[SimpleNamespace]:
        self.rows += rows
        return [SimpleNamespace(actions=self.actions(row)) for row in rows]

    @staticmethod
    def actions(row: Row) -> np.ndarray:
        return np.full((6, 7), 0.1 + float(row.noise.mean()), np.float32)


def trials(count: int) -> list[Trial]:
    return [Trial(task(), init_state=0, seed=seed) for seed in range(count)]


def seed_of(row: Row) -> int:
    """Return the seed that the scene paints its pictures with."""
    return int(row.frame["observation.images.agentview"].max())


def alone(trial: Trial) -> list[float]:
    """Return the means of the first two noises that an episode of this seed sees."""
    generator = torch.Generator().manual_seed(trial.seed)
    return [float(torch.randn(1, 6, 7, generator=generator).mean()) for _ in range(2)]


def test_every_episode_is_played_once_with_the_noise_of_its_own_seed() -> None:
    engine = FakeEngine()
    with BatchedRollouts(engine, 3, STEPS, WalkingScene) as rollouts:
        played = dict(rollouts.play(wanted := trials(7)))
    assert set(played) == set(wanted)
    for trial in wanted:
        first = [row for row in engine.rows if seed_of(row) == trial.seed]
        assert [float(row.noise.mean()) for row in first][:2] == alone(trial)
        assert {row.instruction for row in first} == {"walk on"}
    chunks = [-(-one.steps // STEPS) for one in played.values()]
    assert sum(rollouts.batches) == len(engine.rows) == sum(chunks)
    assert max(rollouts.batches) <= 3


def test_an_episode_is_the_same_whoever_is_beside_it() -> None:
    engine = FakeEngine()
    with BatchedRollouts(engine, 1, STEPS, WalkingScene) as rollouts:
        one_by_one = list(rollouts.play(trials(3)))
    with BatchedRollouts(engine, 3, STEPS, WalkingScene) as rollouts:
        side_by_side = dict(rollouts.play(trials(3)))
    assert dict(one_by_one) == side_by_side


def test_what_the_file_holds_is_not_played_again_and_the_order_is_the_plans(
    tmp_path: Path,
) -> None:
    planned = [
        (trial, EpisodeOutcome(**PLANNED | {"seed": trial.seed}, policy_batch=2))
        for trial in trials(4)
    ]
    file = OutcomeFile(tmp_path / "outcomes.jsonl")
    with BatchedRollouts(FakeEngine(), 2, STEPS, WalkingScene) as rollouts:
        first = evaluate_batched(rollouts, planned[:2], file)
    engine = FakeEngine()
    with BatchedRollouts(engine, 2, STEPS, WalkingScene) as rollouts:
        both = evaluate_batched(rollouts, planned, OutcomeFile(tmp_path / "outcomes.jsonl"))
    assert both[:2] == first
    assert [one.seed for one in both] == [0, 1, 2, 3]
    assert {seed_of(row) for row in engine.rows} == {2, 3}
    # Alone, the policy rounds otherwise: that is another episode.
    other = replace(planned[0][1], policy_batch=1)
    assert OutcomeFile(tmp_path / "outcomes.jsonl").done(other) is None


@pytest.mark.parametrize(
    ("scene", "words"),
    [
        (
            FailingScene,
            "walk task 0, init state 0, seed 0 .*SimulationError: the simulator",
        ),
        (DyingScene, "walk task 0.*its process ended with status -9"),
    ],
)
def test_a_simulator_that_fails_or_dies_is_named_with_its_episode(scene, words: str) -> None:
    with (
        BatchedRollouts(FakeEngine(), 1, STEPS, scene) as rollouts,
        pytest.raises(SimulationError, match=words),
    ):
        list(rollouts.play(trials(1)))


def test_success_ends_an_episode_and_the_basket_is_looked_into() -> None:
    chunk = np.full((6, 7), 0.5, np.float32)
    asked: list[bool] = []

    def ask(frame: dict[str, np.ndarray], first: bool, told: str) -> np.ndarray:
        asked.append(first)
        return chunk

    done = play(WalkingScene(), Trial(task(), 0, 0), 2, ask)
    assert (done.success, done.steps, done.in_basket) == (True, 3, ())
    assert asked == [True, False]


@pytest.mark.parametrize("text", ["0", "257", "-1", "many", "1.5", ""])
def test_a_batch_size_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"--policy-batch: .*auto or 1 to 256"):
        batch_size(text)


def test_auto_is_one_simulator_for_every_core() -> None:
    assert batch_size("auto") >= 1
    assert batch_size("12") == 12
