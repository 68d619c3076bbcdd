"""Disturbances put on a teacher's actions, so that demonstrations contain recoveries."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vla_sae_ros.sim.environment import FloatArray


@dataclass(frozen=True)
class NoiseSettings:
    """Units are those of the actions (1 asks for 5 cm or 0.5 rad per control step)."""

    position_std: float = 0.25
    rotation_std: float = 0.04
    correlation: float = 0.8
    """Of one step's noise with the next (an autoregressive process of order one)."""
    burst_probability: float = 0.015
    """Per step, that a push of several steps starts."""
    burst_steps: tuple[int, int] = (3, 8)
    burst_position: float = 0.9
    burst_gripper_probability: float = 0.4
    """That a push also commands the wrong gripper state."""
    start_probability: float = 0.4
    """That an episode starts with a random move."""
    start_steps: tuple[int, int] = (4, 12)


class ActionNoise:
    """Draws the disturbance of one episode, step by step."""

    def __init__(self, settings: NoiseSettings, generator: np.random.Generator) -> None:
        self._settings = settings
        self._generator = generator
        self._drift = np.zeros(6)
        self._push: FloatArray | None = None
        self._push_left = 0
        if generator.random() < settings.start_probability:
            self._start_push(settings.start_steps)

    def disturb(self, action: FloatArray) -> tuple[FloatArray, bool]:
        """Return the action (7,) to execute, and whether it is a push that ignores the teacher."""
        if self._push_left == 0 and self._generator.random() < self._settings.burst_probability:
            self._start_push(self._settings.burst_steps)
        if self._push_left > 0 and self._push is not None:
            self._push_left -= 1
            gripper = action[6] if self._push[6] == 0 else self._push[6]
            return np.array([*self._push[:6], gripper]), True
        settings = self._settings
        std = np.repeat([settings.position_std, settings.rotation_std], 3)
        fresh = np.sqrt(1.0 - settings.correlation**2) * self._generator.normal(0.0, std)
        self._drift = settings.correlation * self._drift + fresh
        disturbed = action.copy()
        disturbed[:6] = np.clip(action[:6] + self._drift, -1.0, 1.0)
        return disturbed, False

    def _start_push(self, steps: tuple[int, int]) -> None:
        draw, settings = self._generator, self._settings
        direction = draw.uniform(-1.0, 1.0, 3) * settings.burst_position
        turn = draw.uniform(-1.0, 1.0, 3) * 3.0 * settings.rotation_std
        wrong = draw.random() < settings.burst_gripper_probability
        gripper = draw.choice([-1.0, 1.0]) if wrong else 0.0
        self._push = np.clip(np.array([*direction, *turn, gripper]), -1.0, 1.0)
        self._push_left = int(draw.integers(*steps))
