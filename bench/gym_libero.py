"""LIBERO as lerobot's evaluation loop expects it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np

from vla_sae_ros.sim.conventions import libero_state
from vla_sae_ros.sim.environment import Environment, Observation, TaskSpec

CAMERAS = ("agentview", "wrist")


class GymLibero(gymnasium.Env):
    """The same scene as lerobot expects it: pictures and state at every step."""

    metadata = {"render_fps": 20}  # noqa: RUF012  (Gymnasium's own convention)

    def __init__(
        self, make: Callable[[], Environment], task: TaskSpec, init_state: int, steps: int = 0
    ) -> None:
        self._scene, self._task, self._init_state = make(), task, init_state
        # lerobot asks for all three; an AsyncVectorEnv ends over one that is missing.
        self._max_episode_steps = steps
        self.task, self.task_description = task.name, task.instruction
        picture = gymnasium.spaces.Box(0, 255, (256, 256, 3), np.uint8)
        self.observation_space = gymnasium.spaces.Dict(
            {
                "pixels": gymnasium.spaces.Dict(dict.fromkeys(CAMERAS, picture)),
                "agent_pos": gymnasium.spaces.Box(-np.inf, np.inf, (8,), np.float64),
            }
        )
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (7,), np.float32)
        self.steps = 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict]:
        super().reset(seed=seed)
        return self._seen(self._scene.reset(self._task, self._init_state, seed or 0)), {}

    def step(self, action: np.ndarray) -> tuple[Any, float, bool, bool, dict]:
        self.steps += 1
        result = self._scene.step(np.clip(action, -1.0, 1.0).astype(np.float64))
        return (
            self._seen(result.observation),
            0.0,
            result.success,
            False,
            {"is_success": result.success},
        )

    def _seen(self, observation: Observation) -> dict[str, Any]:
        return {
            "pixels": {name: self._scene.render(name) for name in self._scene.cameras},
            "agent_pos": libero_state(observation),
        }
