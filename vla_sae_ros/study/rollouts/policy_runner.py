"""Driving an Environment with a policy, in process: pictures in, action chunks out."""

from __future__ import annotations

import numpy as np
import torch

from vla_sae_ros.policy.checkpoints.loaded import LoadedPolicy
from vla_sae_ros.sim.conventions import libero_state
from vla_sae_ros.sim.environment import Environment, FloatArray, Observation

EXECUTE_STEPS = 5


class PolicyRunner:
    """Answers each control step from an action chunk, asking for a new one every few steps.

    The noise a chunk is denoised from depends on the episode's seed and on the chunk's number
    alone, so that an episode can be repeated.
    """

    def __init__(
        self, policy: LoadedPolicy, environment: Environment, execute_steps: int = EXECUTE_STEPS
    ) -> None:
        self._loaded, self._environment = policy, environment
        self._execute_steps = execute_steps
        self._chunk: FloatArray = np.empty((0, 7))
        self.start("", 0)

    def start(self, instruction: str, seed: int) -> None:
        """Forget the chunk under way and begin an episode."""
        self._instruction = instruction
        self._noise = torch.Generator().manual_seed(seed)
        self.drop_chunk()

    def drop_chunk(self) -> None:
        """Ask for a new chunk at the next step: somebody else moved the robot meanwhile."""
        self._next = self._execute_steps

    def act(self, observation: Observation) -> FloatArray:
        """Return the action (7,) in [-1, 1] for this step."""
        if self._next >= self._execute_steps:
            self._chunk, self._next = self._infer(observation), 0
        self._next += 1
        return self._chunk[self._next - 1]

    def _infer(self, observation: Observation) -> FloatArray:
        config = self._loaded.config
        frame = {
            f"observation.images.{camera}": torch.from_numpy(self._environment.render(camera))
            .permute(2, 0, 1)
            .float()
            .div(255.0)
            for camera in self._environment.cameras
        }
        state = torch.from_numpy(libero_state(observation).astype(np.float32))
        batch = self._loaded.preprocessor(
            {**frame, "observation.state": state, "task": self._instruction}
        )
        shape = (1, config.chunk_size, config.max_action_dim)
        noise = torch.randn(shape, generator=self._noise)
        chunk = self._loaded.policy.predict_action_chunk(batch, noise=noise)
        actions = self._loaded.postprocessor(chunk)[0].double().numpy()
        return np.clip(actions, -1.0, 1.0)
