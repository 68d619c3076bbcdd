"""Episodes that the policy itself drives in a simulation."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from vla_sae_ros.activations.source import Answer
from vla_sae_ros.sim.environment import LIBERO, Environment, Layout, TaskSpec
from vla_sae_ros.sim.splits import TRAINING_INIT_STATES
from vla_sae_ros.study.rollouts.playing import play_trial
from vla_sae_ros.study.rollouts.trials import Trial


def plan_collection(
    tasks: Sequence[TaskSpec],
    episodes: int,
    first_seed: int,
    max_steps: int = 0,
    states: Sequence[int] = TRAINING_INIT_STATES,
    layout: Layout = Layout(),
) -> list[Trial]:
    """Return `episodes` per task, each with its own seed; a longer plan begins like a shorter."""
    planned: list[Trial] = []
    for number in range(episodes):
        for task in tasks:
            state = states[number % len(states)]
            seed = first_seed + len(planned)
            planned.append(Trial(task, state, seed, layout, max_steps=max_steps))
    return planned


@dataclass(frozen=True)
class PlannedEpisode:
    """One episode that is to be collected."""

    trial: Trial
    execute_steps: int

    @property
    def episode_id(self) -> str:
        trial = self.trial
        env = "" if trial.task.env == LIBERO else re.sub(r"[^\w.]+", "_", trial.task.env) + "-"
        moved = trial.layout.move_objects_m
        layout = "shuffled-" if trial.layout.shuffle else ""
        layout += f"moved_{moved:g}-" if moved else ""
        asked = f"_{trial.task.goal[0][1]}" if trial.task.goal else ""
        task = f"{trial.task.suite}-{trial.task.task_index}{asked}"
        return f"{env}{layout}{task}-{trial.init_state}-{trial.seed}"

    @property
    def task(self) -> str:
        return f"{self.trial.task.suite} {self.trial.task.task_index}"

    @property
    def inferences(self) -> int:
        return -(-self.trial.step_limit // self.execute_steps)


def identity_of(episodes: Sequence[PlannedEpisode]) -> str:
    """Return what planned episodes have in common beside their ids; see `EpisodeSource`."""
    first = episodes[0]
    limit = f", {first.trial.max_steps} steps at most" if first.trial.max_steps else ""
    return f"simulation, every {first.execute_steps}{limit}"


@dataclass(frozen=True)
class SimulatedEpisode(PlannedEpisode):
    """One planned episode in an environment."""

    environment: Environment

    def play(self, answer: Answer) -> bool:
        return play_trial(self.environment, self.trial, self.execute_steps, answer)


class SimulatedSource:
    """Planned episodes, one after the other in one environment."""

    def __init__(
        self, environment: Environment, trials: Sequence[Trial], execute_steps: int
    ) -> None:
        self._environment, self._trials = environment, tuple(trials)
        self._execute_steps = execute_steps

    @property
    def identity(self) -> str:
        return identity_of([PlannedEpisode(one, self._execute_steps) for one in self._trials])

    @property
    def control_rate(self) -> float:
        return self._environment.control_rate_hz

    @property
    def state_names(self) -> tuple[str, ...]:
        return ()

    def episodes(self) -> Iterator[SimulatedEpisode]:
        for trial in self._trials:
            yield SimulatedEpisode(trial, self._execute_steps, self._environment)

    def close(self) -> None:
        self._environment.close()
