"""Playing an episode with a policy, in any environment: pictures in, action chunks out."""

from __future__ import annotations

from collections.abc import Callable

from vla_sae_ros.activations.source import Answer, PolicyQuery
from vla_sae_ros.sim.environment import Environment, FloatArray, Observation
from vla_sae_ros.sim.own_contract import instruction_of
from vla_sae_ros.study.rollouts.simulated import executable, policy_frame
from vla_sae_ros.study.rollouts.trials import Trial

Watch = Callable[[Observation, FloatArray | None], None]
"""Sees every observation, with the action (A,) that led to it; None for the first one."""


def look_away(_observation: Observation, _action: FloatArray | None) -> None:
    """Watch nothing."""


def play_trial(
    environment: Environment,
    trial: Trial,
    execute_steps: int,
    answer: Answer,
    watch: Watch = look_away,
) -> bool:
    """Run one episode, asking for a chunk every `execute_steps`; return its success."""
    task = trial.task
    observation = environment.reset(task, trial.init_state, trial.seed, trial.layout)
    instruction = instruction_of(environment, task.instruction)
    watch(observation, None)
    for step in range(trial.step_limit):
        if step % execute_steps == 0:
            frame = policy_frame(environment, observation)
            positions = environment.object_positions()
            chunk = answer(PolicyQuery(frame, instruction, trial.seed, step, positions))
        action = executable(environment, chunk[step % execute_steps])
        result = environment.step(action)
        observation = result.observation
        watch(observation, action)
        if result.success or result.ended:
            return result.success
    return False
