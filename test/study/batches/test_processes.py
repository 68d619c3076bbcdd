"""Simulators in processes of their own, and one engine that answers them; the engine is a fake."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from patience import WORK
from walking_scene import DyingScene, FailingScene, UnmadeScene, WalkingScene, task

from vla_sae_ros.core.errors import ConfigurationError, ObservationError, SimulationError
from vla_sae_ros.policy.batch_engine import Row
from vla_sae_ros.study.batches.jobs import Done, Failed
from vla_sae_ros.study.batches.playing import outcomes, results
from vla_sae_ros.study.batches.processes import PlayerProcesses
from vla_sae_ros.study.batches.sizes import batch_on, batch_size
from vla_sae_ros.study.rollouts.outcomes import EpisodeOutcome, OutcomeFile
from vla_sae_ros.study.rollouts.rollout import evaluate_batched
from vla_sae_ros.study.rollouts.rollout_job import Played, RolloutJob, play
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


def side_by_side(engine: FakeEngine, count: int, scene: type = WalkingScene) -> PlayerProcesses:
    return PlayerProcesses(SimpleNamespace(engine=engine), count, scene)


def played(players: PlayerProcesses, wanted: list[Trial]) -> dict[Trial, Played]:
    jobs = [RolloutJob(trial, STEPS) for trial in wanted]
    return {job.trial: result for job, result in results(players, jobs)}


def job(seed: int) -> RolloutJob:
    return RolloutJob(Trial(task(), 0, seed), STEPS)


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
    with side_by_side(engine, 3) as players:
        found = played(players, wanted := trials(7))
    assert set(found) == set(wanted)
    for trial in wanted:
        first = [row for row in engine.rows if seed_of(row) == trial.seed]
        assert [float(row.noise.mean()) for row in first][:2] == alone(trial)
        assert {row.instruction for row in first} == {"walk on"}
    chunks = [-(-one.steps // STEPS) for one in found.values()]
    assert sum(players.batches) == len(engine.rows) == sum(chunks)
    assert max(players.batches) <= 3


def test_an_episode_is_the_same_whoever_is_beside_it() -> None:
    with side_by_side(FakeEngine(), 1) as players:
        one_by_one = played(players, trials(3))
    with side_by_side(FakeEngine(), 3) as players:
        assert played(players, trials(3)) == one_by_one


def test_what_the_file_holds_is_not_played_again_and_the_order_is_the_plans(
    tmp_path: Path,
) -> None:
    planned = [
        (trial, EpisodeOutcome(**PLANNED | {"seed": trial.seed}, policy_batch=2))
        for trial in trials(4)
    ]
    file = OutcomeFile(tmp_path / "outcomes.jsonl")
    with side_by_side(FakeEngine(), 2) as players:
        first = evaluate_batched(players, planned[:2], file)
    engine = FakeEngine()
    with side_by_side(engine, 2) as players:
        both = evaluate_batched(players, planned, OutcomeFile(tmp_path / "outcomes.jsonl"))
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
        side_by_side(FakeEngine(), 1, scene) as players,
        pytest.raises(SimulationError, match=words),
    ):
        played(players, trials(1))


def test_a_job_that_fails_costs_itself_and_no_other() -> None:
    class Choosy(FakeEngine):
        def infer(self, rows: list[Row]) -> list[SimpleNamespace]:
            if any(seed_of(row) == 1 for row in rows):
                raise ObservationError("seed 1 is refused")
            return super().infer(rows)

    with side_by_side(Choosy(), 3) as players:
        found = list(outcomes(players, [RolloutJob(trial, STEPS) for trial in trials(5)]))
    assert len(found) == 5
    for job, outcome in found:
        if job.trial.seed == 1:
            assert isinstance(outcome, Failed) and outcome.usable
            assert "seed 1 is refused" in outcome.reason
        else:
            assert isinstance(outcome, Done)


def test_a_player_that_dies_is_replaced() -> None:
    with side_by_side(FakeEngine(), 1, DyingScene) as players:
        found = [outcome for _, outcome in outcomes(players, [job(0), job(1)])]
    assert len(found) == 2 and all(isinstance(one, Failed) for one in found)


def test_a_player_that_cannot_be_made_ends_it_all_with_the_reason() -> None:
    with (
        side_by_side(FakeEngine(), 2, UnmadeScene) as players,
        pytest.raises(ConfigurationError, match="no such scene"),
    ):
        played(players, trials(2))


def test_players_have_no_pytorch() -> None:
    """It would cost each half a gigabyte."""
    code = (
        "import sys, vla_sae_ros.study.batches.player_process, "
        "vla_sae_ros.study.rollouts.rollout_job, vla_sae_ros.study.collection.collect_job, "
        "vla_sae_ros.study.experiment.run.batched_runs; "
        "found = {'torch', 'lerobot', 'transformers'} & set(sys.modules); "
        "sys.exit(str(found) if found else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=WORK
    )
    assert done.returncode == 0, done.stderr


def test_success_ends_an_episode_and_the_basket_is_looked_into() -> None:
    chunk = np.full((6, 7), 0.5, np.float32)
    asked: list[float] = []

    def ask(question: tuple[dict[str, np.ndarray], str]) -> np.ndarray:
        frame, told = question
        assert told == "walk on"
        asked.append(float(frame["observation.state"][0]))
        return chunk

    done = play(WalkingScene(), Trial(task(), 0, 0), 2, ask)
    assert (done.success, done.steps, done.in_basket) == (True, 3, ())
    assert asked == [0.0, 1.0]


@pytest.mark.parametrize("text", ["0", "257", "-1", "many", "1.5", ""])
def test_a_batch_size_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"--policy-batch: .*auto or 1 to 256"):
        batch_size(text)


def test_auto_is_one_simulator_for_every_core() -> None:
    assert batch_size("auto") >= 1
    assert batch_size("12") == 12


def test_on_a_cluster_the_batch_is_a_number() -> None:
    assert batch_on("3", "auto") == 3
    with pytest.raises(ConfigurationError, match="machines may differ"):
        batch_on("auto", "auto")
