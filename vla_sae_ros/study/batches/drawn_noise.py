"""An episode's session: the noise of its chunks is drawn one after another from its seed."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from vla_sae_ros.policy.batch_engine import BatchEngine, Row
from vla_sae_ros.policy.inference import Inference

Told = tuple[Mapping[str, np.ndarray], str]
"""A frame and the instruction."""


class DrawnNoise:
    """See `jobs.Session`; as `rollouts.policy_runner.PolicyRunner` draws it."""

    def __init__(self, engine: BatchEngine, seed: int) -> None:
        self._shape = (1, *engine.adapter.noise_shape)
        self._generator = torch.Generator().manual_seed(seed)

    def row(self, question: Told) -> Row:
        """Return the frame with the next noise."""
        noise = torch.randn(self._shape, generator=self._generator)
        frame, instruction = question
        return Row(frame, instruction, noise)

    def answer(self, question: Told, inference: Inference) -> np.ndarray:
        """Return the chunk (H, A)."""
        return inference.actions
