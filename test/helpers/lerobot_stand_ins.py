"""Stand-ins for RoboCasa and LIBERO-plus, whose assets cannot be had here.

They have lerobot's own configurations, and exactly the observation and action spaces that
`lerobot.envs.robocasa.RoboCasaEnv` and `lerobot.envs.libero.LiberoEnv` build from them; what they
show is drawn from the seed, so that a test can tell one state from another. No physics.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from lerobot.envs.configs import EnvConfig, LiberoPlusEnv, RoboCasaEnv

from vla_sae_ros.sim.lerobot_envs.config import known_kinds

STEPS = 6
"""After which the stand-ins' tasks are done."""


class _Seeded(gym.Env):
    """Random observations of its spaces; done after STEPS steps, then reset at once as theirs."""

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 20}  # noqa: RUF012

    def __init__(self, task: str, observation_space: spaces.Space, width: int) -> None:
        self.task, self.task_description = task, ""
        self._max_episode_steps = 40
        self.observation_space = observation_space
        self.action_space = spaces.Box(-1.0, 1.0, (width,), np.float32)
        self.actions: list[np.ndarray] = []

    def reset(self, seed=None, **_):
        super().reset(seed=seed)
        self.observation_space.seed(int(self.np_random.integers(2**31)))
        self._steps = 0
        return self._observe(), {"is_success": False}

    def step(self, action):
        assert action.shape == self.action_space.shape and np.abs(action).max() <= 1.0
        self.actions.append(np.array(action))
        self._steps += 1
        success = self._steps == STEPS
        observation = self._observe()
        if success and self.resets_itself:
            self.reset()
        return observation, 0.0, success, False, {"is_success": success}

    def _observe(self):
        return _bounded(self.observation_space)


def _bounded(space):
    if isinstance(space, spaces.Dict):
        return {key: _bounded(one) for key, one in space.items()}
    return space.sample()


class RoboCasaStandIn(_Seeded):
    """The spaces of lerobot's RoboCasaEnv; its instruction is known from the first reset on."""

    resets_itself = True

    def __init__(self, task: str, cameras: str, height: int, width: int) -> None:
        pictures = {
            name: spaces.Box(0, 255, (height, width, 3), np.uint8) for name in cameras.split(",")
        }
        state = spaces.Box(-np.inf, np.inf, (16,), np.float32)
        super().__init__(
            task, spaces.Dict({"pixels": spaces.Dict(pictures), "agent_pos": state}), 12
        )

    def reset(self, seed=None, **kwargs):
        answer = super().reset(seed, **kwargs)
        self.task_description = f"close the {('fridge', 'oven')[int(self.np_random.integers(2))]}"
        return answer


class LiberoPlusStandIn(_Seeded):
    """The spaces of lerobot's LiberoEnv with `pixels_agent_pos`; three recorded initial states."""

    resets_itself = False

    def __init__(self, task: str, height: int, width: int) -> None:
        def numbers(*shape: int) -> spaces.Box:
            return spaces.Box(-np.inf, np.inf, shape, np.float64)

        pictures = {
            name: spaces.Box(0, 255, (height, width, 3), np.uint8) for name in ("image", "image2")
        }
        robot = {
            "eef": {"pos": numbers(3), "quat": numbers(4), "mat": numbers(3, 3)},
            "gripper": {"qpos": numbers(2), "qvel": numbers(2)},
            "joints": {"pos": numbers(7), "vel": numbers(7)},
        }
        nested = spaces.Dict({key: spaces.Dict(parts) for key, parts in robot.items()})
        super().__init__(
            task, spaces.Dict({"pixels": spaces.Dict(pictures), "robot_state": nested}), 7
        )
        self.task_description = "put the bowl on the plate, please"
        self._init_states = [0, 1, 2]
        self.init_state_id = 0

    def reset(self, seed=None, **kwargs):
        used = self.init_state_id
        self.init_state_id += 1  # as theirs: the next reset would be from the next state
        return super().reset(None if seed is None else seed + 1000 * used, **kwargs)


@dataclass
class RoboCasaStandInConfig(RoboCasaEnv):
    """RoboCasa's configuration, with a stand-in behind it."""

    def create_envs(self, n_envs, use_async_envs=False):
        def make():
            return RoboCasaStandIn(
                self.task, self.camera_name, self.observation_height, self.observation_width
            )

        return {self.task: {0: gym.vector.SyncVectorEnv([make] * n_envs)}}


@dataclass
class LiberoPlusStandInConfig(LiberoPlusEnv):
    """LIBERO-plus' configuration, with a stand-in behind it."""

    def create_envs(self, n_envs, use_async_envs=False):
        def make():
            return LiberoPlusStandIn(self.task, self.observation_height, self.observation_width)

        return {self.task: {task: gym.vector.SyncVectorEnv([make] * n_envs) for task in (0, 7)}}


def register() -> None:
    """Let lerobot know the stand-ins: robocasa_stand_in and libero_plus_stand_in."""
    known = EnvConfig.get_known_choices()
    for name, config in (
        ("robocasa_stand_in", RoboCasaStandInConfig),
        ("libero_plus_stand_in", LiberoPlusStandInConfig),
    ):
        if name not in known:
            EnvConfig.register_subclass(name)(config)
    known_kinds.cache_clear()
