"""A scene of ten steps that costs nothing, importable by a process of its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vla_sae_ros.sim.environment import Layout, Observation, StepResult, TaskSpec

TASKS = [TaskSpec("fake", n, f"task {n}", f"do {n}", 10, Path("p"), Path("i")) for n in range(2)]


class CountingScene:
    """Ten steps of pictures that tell the step; succeeds at once where the seed is even."""

    cameras = ("agentview", "wrist")
    control_rate_hz = 20.0

    def reset(
        self, task: TaskSpec, init_state: int, seed: int, layout: Layout | None = None
    ) -> Observation:
        self.seed, self.steps = seed, 0
        return self._observe()

    def step(self, action: np.ndarray) -> StepResult:
        self.steps += 1
        return StepResult(self._observe(), self.seed % 2 == 0 and self.steps >= 6)

    def render(self, camera: str) -> np.ndarray:
        return np.full((64, 96, 3), 20 * self.steps, np.uint8)

    def object_positions(self) -> dict[str, np.ndarray]:
        return {"can": np.array([0.1, 0.2, 0.01 * self.steps])}

    def close(self) -> None:
        self.closed = True

    def _observe(self) -> Observation:
        at = np.array([0.1, 0.0, 0.02 * self.steps])
        return Observation(np.zeros(7), at, np.array([0.0, 0.0, 0.0, 1.0]), np.array([0.04, -0.04]))
