"""An environment that costs nothing, importable by a process of its own."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np

from vla_sae_ros.core.errors import ConfigurationError, SimulationError
from vla_sae_ros.sim.environment import Layout, Observation, StepResult, TaskSpec


def task(max_steps: int = 12) -> TaskSpec:
    return TaskSpec("walk", 0, "walk", "walk on", max_steps, Path("p.bddl"), Path("i.npz"))


class WalkingScene:
    """Sums up its actions from a start that the seed says; success: the first is beyond 1."""

    cameras = ("agentview",)
    control_rate_hz = 20.0

    def reset(
        self, task: TaskSpec, init_state: int, seed: int, layout: Layout | None = None
    ) -> Observation:
        self.place = np.full(3, float(init_state))
        self.seed = seed
        return self._observe()

    def step(self, action: np.ndarray) -> StepResult:
        self.place = self.place + action[:3]
        return StepResult(self._observe(), bool(self.place[0] > 1.0))

    def render(self, camera: str) -> np.ndarray:
        return np.full((4, 4, 3), self.seed % 256, np.uint8)

    def object_positions(self) -> dict[str, np.ndarray]:
        return {"basket_1": np.zeros(3), "can_1": self.place.copy()}

    def close(self) -> None:
        pass

    def _observe(self) -> Observation:
        turn = np.array([0.0, 0.0, 0.0, 1.0])
        return Observation(np.zeros(7), self.place.copy(), turn, np.zeros(2))


class FailingScene(WalkingScene):
    def step(self, action: np.ndarray) -> StepResult:
        raise SimulationError("the simulator did not step")


class DyingScene(WalkingScene):
    def step(self, action: np.ndarray) -> StepResult:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError


class UnmadeScene(WalkingScene):
    def __init__(self) -> None:
        raise ConfigurationError("no such scene")
