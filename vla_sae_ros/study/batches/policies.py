"""A policy that answers players, and nothing beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch

from vla_sae_ros.policy.batch_engine import BatchEngine
from vla_sae_ros.policy.load_options import DEFAULT_OPTIONS, LoadOptions
from vla_sae_ros.policy.loading import load_policy


@dataclass(frozen=True)
class AnsweringPolicy:
    """See `jobs.Answering`."""

    engine: BatchEngine


@dataclass(frozen=True)
class PolicySpec:
    """A policy folder; every machine needs it at this path.

    threads: of torch. names: what the policy calls an observation, as in `--map`.
    """

    folder: Path
    device: str = "cpu"
    threads: int = 1
    names: Mapping[str, str] = field(default_factory=dict)
    options: LoadOptions = DEFAULT_OPTIONS

    def open(self) -> AnsweringPolicy:
        """Load the policy."""
        torch.set_num_threads(self.threads)
        loaded = load_policy(self.folder, self.device, self.options)
        return AnsweringPolicy(BatchEngine(loaded, self.names))

    @property
    def gpus(self) -> float:
        """How many GPUs a policy has for itself."""
        return 1.0 if self.device.startswith("cuda") else 0.0
