"""Saving a training run while it goes on, so that it can be interrupted at any moment."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.core.whole_file import whole_file
from vla_sae_ros.sae.kinds.samples import Samples
from vla_sae_ros.sae.kinds.sparse_autoencoder import SparseAutoencoder
from vla_sae_ros.sae.objectives.training_settings import TrainingSettings

_FORMAT = "1"
_ROWS_AT_ONCE = 16_384


@dataclass(frozen=True)
class TrainingState:
    """Everything a run depends on. facts: what is no tensor, as JSON can say it."""

    tensors: dict[str, Tensor]
    facts: dict[str, Any]


class Resumable(Protocol):
    """A run whose state can be taken and put back; `Trainer` is one."""

    def state(self) -> TrainingState: ...

    def restore(self, state: TrainingState) -> None: ...


def run_id(
    settings: TrainingSettings, samples: Samples, start: SparseAutoencoder | None = None
) -> str:
    """Return an id of settings, samples and start, every number of them, 16 hex digits."""
    digest = hashlib.sha256(json.dumps(asdict(settings), sort_keys=True).encode())
    for weight in start.stored_weights().values() if start is not None else ():
        digest.update(weight.numpy().tobytes())
    digest.update(json.dumps([int(length) for length in samples.shape]).encode())
    for first in range(0, len(samples), _ROWS_AT_ONCE):
        rows = samples[first : first + _ROWS_AT_ONCE]
        digest.update(memoryview(np.ascontiguousarray(rows, np.float32)).cast("B"))
    return digest.hexdigest()[:16]


class Checkpoint:
    """One file that always holds a whole state: the newest replaces the one before.

    Args:
        path: of the file.
        run: id of settings and samples; a file of another run is refused.
        period: [s] between two saves.
    """

    def __init__(self, path: Path, run: str, period: float = 60.0) -> None:
        self.path = path
        self._run = run
        self._period = period
        self._last = time.monotonic()

    def resume(self, trainer: Resumable) -> None:
        """Put the saved state into `trainer`; nothing happens where none was saved.

        Raises:
            ConfigurationError: the file is damaged or of another run.
        """
        if not self.path.exists():
            return
        try:
            with safe_open(self.path, framework="pt") as file:
                said = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (OSError, SafetensorError) as error:
            raise ConfigurationError(
                f"The checkpoint {self.path} is damaged ({error}). Delete it to start again."
            ) from error
        if said.get("format") != _FORMAT or said.get("run") != self._run:
            raise ConfigurationError(
                f"The checkpoint {self.path} is of a run with other settings, samples or "
                "start. Use the same settings to continue it, or delete it to start again."
            )
        trainer.restore(TrainingState(tensors, json.loads(said["facts"])))

    def save_if_due(self, trainer: Resumable) -> None:
        """Save when the period is over."""
        if time.monotonic() - self._last >= self._period:
            self.save(trainer)

    def save(self, trainer: Resumable) -> None:
        """Write the state; after a crash the file is the old one or the new one, never a part."""
        state = trainer.state()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        tensors = {name: one.detach().cpu().contiguous() for name, one in state.tensors.items()}
        facts = json.dumps(state.facts)
        with whole_file(self.path) as part:
            save_file(tensors, part, {"format": _FORMAT, "run": self._run, "facts": facts})
        self._last = time.monotonic()
