"""Playing an episode in any environment; neither a policy nor a simulator is imported in here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from vla_sae_ros.activations.source import Answer, Moment
from vla_sae_ros.sim.conventions import libero_state
from vla_sae_ros.sim.environment import Environment, FloatArray, Layout, Observation, TaskSpec

if TYPE_CHECKING:
    from vla_sae_ros.study.rollouts.trials import Trial


@dataclass(frozen=True)
class PlannedTrial:
    """One episode to run; its seed tells it from every other."""

    task: TaskSpec
    init_state: int
    seed: int
    max_steps: int
    layout: Layout = field(default_factory=Layout)


Watch = Callable[[Observation, FloatArray | None], None]
"""Sees every observation, with the action (7,) that led to it; None for the first one."""


def look_away(_observation: Observation, _action: FloatArray | None) -> None:
    """Watch nothing."""


def play_trial(
    environment: Environment,
    trial: Trial | PlannedTrial,
    max_steps: int,
    execute_steps: int,
    answer: Answer,
    watch: Watch = look_away,
) -> bool:
    """Run one episode, asking for a chunk every `execute_steps`; return its success."""
    task = trial.task
    observation = environment.reset(task, trial.init_state, trial.seed, trial.layout)
    watch(observation, None)
    for step in range(max_steps):
        if step % execute_steps == 0:
            frame: dict[str, np.ndarray] = {
                f"observation.images.{camera}": environment.render(camera)
                for camera in environment.cameras
            }
            frame["observation.state"] = libero_state(observation).astype(np.float32)
            positions = environment.object_positions()
            chunk = answer(Moment(frame, task.instruction, trial.seed, step, positions))
        action = np.clip(chunk[step % execute_steps], -1.0, 1.0).astype(np.float64)
        result = environment.step(action)
        observation = result.observation
        watch(observation, action)
        if result.success:
            return True
    return False
