"""Running trials: who drives, what is counted, and going on after an interruption."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from vla_sae_ros import cli
from vla_sae_ros.sim.environment import Layout, ObjectPose, Observation, StepResult
from vla_sae_ros.sim.expert import PrivilegedState
from vla_sae_ros.sim.suites import find_task, target_and_goal
from vla_sae_ros.study.rollouts.outcomes import OutcomeFile
from vla_sae_ros.study.rollouts.rollout import (
    Actor,
    distinct,
    evaluate,
    expert_actor,
    run_trial,
)
from vla_sae_ros.study.rollouts.simulated import objects_in_basket
from vla_sae_ros.study.rollouts.trials import parse_tasks, plan_trials

TASK = find_task("libero_object", 0)
DOWN = np.array([1.0, 0.0, 0.0, 0.0])


class FakeEnvironment:
    """A hand that moves as told over a floor with a can; done after a number of steps."""

    def __init__(self, steps_to_success: int) -> None:
        self._needed = steps_to_success
        self.resets: list[tuple[int, int]] = []

    def reset(self, task, init_state, seed, layout=None):
        self.resets.append((init_state, seed))
        self._steps, self.hand = 0, np.array([-0.15, 0.0, 0.25])
        return self._observe()

    def step(self, action):
        self._steps += 1
        self.hand = self.hand + 0.03 * np.asarray(action[:3])
        return StepResult(self._observe(), self._steps >= self._needed)

    def privileged(self, observation):
        upright = np.array([0.0, 0.0, 0.0, 1.0])
        poses = {name: ObjectPose(place, upright) for name, place in self.places().items()}
        return PrivilegedState(observation, poses, frozenset())

    def places(self):
        return {
            "alphabet_soup_1": np.array([-0.1, -0.2, 0.04]),
            "basket_1": np.array([0.0, 0.26, 0.0]),
        }

    object_positions = places

    def _observe(self):
        return Observation(np.zeros(7), self.hand, DOWN, np.array([0.04, -0.04]))


def idle_actor() -> Actor:
    return Actor("idle", 5, lambda trial: lambda observation: np.zeros(7))


def test_an_episode_ends_at_success_or_at_the_benchmarks_limit() -> None:
    (trial,) = plan_trials([TASK], [40], 1, Layout())
    done = run_trial(FakeEnvironment(12), idle_actor(), trial)
    assert (done.success, done.steps, done.policy, done.target) == (
        True,
        12,
        "idle",
        "alphabet_soup_1",
    )
    tired = run_trial(FakeEnvironment(10_000), idle_actor(), trial)
    assert (tired.success, tired.steps) == (False, 280)


def test_the_expert_drives_towards_the_tasks_object() -> None:
    (trial,) = plan_trials([TASK], [40], 1, Layout())
    environment = FakeEnvironment(40)
    outcome = run_trial(environment, expert_actor(environment), trial)
    assert outcome.policy == "expert"
    assert np.linalg.norm(environment.hand - environment.places()["alphabet_soup_1"]) < 0.03


def test_an_interrupted_evaluation_goes_on_where_it_stopped(tmp_path: Path) -> None:
    trials = plan_trials([TASK], range(40, 50), 4, Layout(0.04))
    path = tmp_path / "deep" / "outcomes.jsonl"
    first = FakeEnvironment(3)
    evaluate(first, idle_actor(), trials[:2], OutcomeFile(path))
    second = FakeEnvironment(3)
    outcomes = evaluate(second, idle_actor(), trials, OutcomeFile(path))
    assert second.resets == [(42, 1_000_002), (43, 1_000_003)]
    assert outcomes == OutcomeFile(path).outcomes and len(outcomes) == 4
    # Another policy's episodes do not count.
    third = FakeEnvironment(3)
    evaluate(third, Actor("other", 5, idle_actor().begin), trials[:1], OutcomeFile(path))
    assert len(third.resets) == 1


def test_an_actor_is_prepared_once_before_the_first_episode_and_not_where_none_is_played(
    tmp_path: Path,
) -> None:
    trials = plan_trials([TASK], range(40, 50), 2, Layout())
    environment, told = FakeEnvironment(3), []
    actor = replace(idle_actor(), prepare=lambda: told.append(len(environment.resets)))
    evaluate(environment, actor, trials, OutcomeFile(tmp_path / "outcomes.jsonl"))
    assert told == [0]
    evaluate(environment, actor, trials, OutcomeFile(tmp_path / "outcomes.jsonl"))
    assert told == [0]


def test_an_episode_that_two_tasks_plan_is_run_once() -> None:
    tasks = parse_tasks("libero_object", "0,0:butter_1")
    swapped = plan_trials(tasks, range(40, 50), 5, Layout(), swap_instruction=True)
    targets = [target_and_goal(trial.task)[0] for trial in distinct(swapped)]
    # In turn the others of each; from the second pair on both tasks ask for the same.
    assert len(swapped) == 10 and len(targets) == 6
    assert targets[5] == "alphabet_soup_1"
    exchanged = plan_trials(tasks, range(40, 50), 5, Layout(), exchange=True, swap_instruction=True)
    assert distinct(exchanged) == exchanged  # other places, another episode


def test_what_lies_in_the_basket_is_named() -> None:
    positions = {
        "basket_1": np.array([0, 0.26, 0]),
        "milk_1": np.array([0.02, 0.3, 0.05]),
        "soup_1": np.array([0.2, 0.26, 0.0]),
    }
    assert objects_in_basket(positions) == ("milk_1",)
    assert objects_in_basket({"cup_1": np.zeros(3)}) == ()


def test_what_the_expert_cannot_do_is_refused_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["rollout", "--policy", "expert", "--suite", "libero_goal"]) == 2
    assert "open the middle drawer" in capsys.readouterr().err
