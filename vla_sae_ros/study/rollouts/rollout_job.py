"""One evaluated episode as a job: a simulator plays it, a policy elsewhere answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vla_sae_ros.core.picture_record import Quality
from vla_sae_ros.sim.benchmark import benchmark_named
from vla_sae_ros.sim.environment import Environment
from vla_sae_ros.sim.own_contract import instruction_of
from vla_sae_ros.study.batches.jobs import Ask, Session
from vla_sae_ros.study.rollouts.simulated import executable, objects_in_basket, policy_frame
from vla_sae_ros.study.rollouts.trials import Trial


@dataclass(frozen=True)
class Played:
    """How an episode ended."""

    success: bool
    steps: int
    in_basket: tuple[str, ...]


@dataclass(frozen=True)
class RolloutJob:
    """See `batches.jobs.Job`; a question is (frame, instruction), its answer the chunk (H, A)."""

    trial: Trial
    execute_steps: int

    @property
    def name(self) -> str:
        return trial_name(self.trial)

    def play(self, player: Environment, ask: Ask) -> Played:
        return play(player, self.trial, self.execute_steps, ask)

    def session(self, answering: Any) -> Session:
        # PyTorch is of the policy's process only: a simulator's is half a gigabyte smaller.
        from vla_sae_ros.study.batches.drawn_noise import DrawnNoise

        return DrawnNoise(answering.engine, self.trial.seed)


def environment_of(
    env: str, suite: str = "", contract: str = "", quality: Quality = "full"
) -> Environment:
    """Return an environment of one's own; see `sim.benchmark.benchmark_named`."""
    return benchmark_named(env, contract, quality).environment(suite)


def play(environment: Environment, trial: Trial, execute_steps: int, ask: Ask) -> Played:
    """Run one episode to its end or its step limit; `ask` gives a chunk (H, A)."""
    observation = environment.reset(trial.task, trial.init_state, trial.seed, trial.layout)
    told = instruction_of(environment, trial.task.instruction)
    success, ended, steps = False, False, 0
    while not success and not ended and steps < trial.step_limit:
        if steps % execute_steps == 0:
            chunk = ask((policy_frame(environment, observation), told))
        result = environment.step(executable(environment, chunk[steps % execute_steps]))
        observation, success, ended = result.observation, result.success, result.ended
        steps += 1
    return Played(success, steps, objects_in_basket(environment.object_positions()))


def trial_name(trial: Trial) -> str:
    """Return a trial in words."""
    return (
        f"{trial.task.suite} task {trial.task.task_index}, init state {trial.init_state}, seed "
        f"{trial.seed}"
    )
