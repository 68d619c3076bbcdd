"""A policy that drives an environment step by step."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from vla_sae_ros.policy.checkpoints.feature_match import over
from vla_sae_ros.policy.engine import PolicyEngine
from vla_sae_ros.sim.environment import Environment, FloatArray, Observation
from vla_sae_ros.study.rollouts.execute_steps import executed_steps
from vla_sae_ros.study.rollouts.simulated import (
    executable,
    offered_features,
    own_names,
    policy_frame,
)


class PolicyRunner:
    """Answers each control step from an action chunk, asking for a new one every few steps.

    The noise of an episode's chunks is drawn one after another from the episode's seed, so that an
    episode can be repeated, whatever the policy's family.

    Raises:
        ConfigurationError: the policy reads what the environment does not show; `names` may say
            what it calls it (`--map`); or its chunk has fewer actions than are to be executed.
    """

    def __init__(
        self,
        engine: PolicyEngine,
        environment: Environment,
        execute_steps: int | None = None,
        names: Mapping[str, str] = {},
    ) -> None:
        self._engine, self._environment = engine, environment
        self._engine.observe(offered_features(environment), over(names, own_names(environment)))
        self.execute_steps = executed_steps(
            engine.loaded.chunk_length, execute_steps, "--execute-steps"
        )
        """Actions of a chunk that are executed."""
        self._chunk: np.ndarray = np.empty((0, 0))
        self.start("", 0)

    def start(self, instruction: str, seed: int) -> None:
        """Forget the chunk under way and begin an episode."""
        self._instruction = instruction
        self._generator = torch.Generator().manual_seed(seed)
        self.drop_chunk()

    def drop_chunk(self) -> None:
        """Ask for a new chunk at the next step: somebody else moved the robot meanwhile."""
        self._next = self.execute_steps

    def act(self, observation: Observation) -> FloatArray:
        """Return the action (A,), within the environment's bounds, for this step."""
        if self._next >= self.execute_steps:
            self._chunk, self._next = self._infer(observation), 0
        self._next += 1
        return executable(self._environment, self._chunk[self._next - 1])

    def _infer(self, observation: Observation) -> np.ndarray:
        frame = policy_frame(self._environment, observation)
        shape = (1, *self._engine.adapter.noise_shape)
        noise = torch.randn(shape, generator=self._generator)
        return self._engine.infer_from(frame, self._instruction, noise).actions
