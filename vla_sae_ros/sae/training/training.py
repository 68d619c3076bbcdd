"""Training a sparse autoencoder on residual-stream samples.

Recipe of Gao et al. 2024: bias from the geometric median, unit decoder rows with gradients
projected to their tangent, Adam with a warm-up, clipped gradients. Samples are centred and scaled
by one number before training and the result is folded back, which changes no code and makes the
learning rate independent of the size of the activations.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vla_sae_ros.core.errors import ConfigurationError, VlaSaeError, complaint
from vla_sae_ros.core.progress import CommandProgress
from vla_sae_ros.sae.kinds.normalization import normalize
from vla_sae_ros.sae.kinds.samples import Samples, check_samples
from vla_sae_ros.sae.kinds.sparse_autoencoder import SparseAutoencoder
from vla_sae_ros.sae.objectives.choice import check_start, objective_for
from vla_sae_ros.sae.objectives.training_settings import TrainingSettings
from vla_sae_ros.sae.shapes import Scalar
from vla_sae_ros.sae.training.adam import Adam, clip_by_norm
from vla_sae_ros.sae.training.checkpoint import Checkpoint, TrainingState
from vla_sae_ros.sae.training.geometric_median import geometric_median
from vla_sae_ros.sae.training.processes import Processes

_MEDIAN_SAMPLES = 10_000
_LOOKED_AT = 50  # [steps]
_ADAM_EPSILON = 6.25e-10


class TrainingFailed(VlaSaeError):
    """Training cannot go on; what it had saved before can be used."""


Log = Callable[["StepReport"], None]


@dataclass(frozen=True)
class StepReport:
    """One optimiser step. step: from 0. fvu, auxiliary, l0: 0-d, of the batch; rate: learning rate.

    auxiliary: the loss beside FVU, AuxK or the sparsity penalty.
    """

    step: int
    fvu: Scalar
    auxiliary: Scalar
    l0: Tensor
    rate: float


@dataclass(frozen=True)
class Training:
    """A trained autoencoder and how it got there.

    fvu_history: (epochs,) mean training FVU of each epoch, in normalised units.
    dead_features: number of features dead at the last step.
    examples_per_second: of this run, without what an earlier one did before a checkpoint.
    """

    sae: SparseAutoencoder
    fvu_history: tuple[float, ...]
    dead_features: int
    steps: int
    examples_per_second: float


def train(
    samples: Samples,
    settings: TrainingSettings,
    device: str | torch.device = "cpu",
    progress: bool = True,
    checkpoint: Checkpoint | None = None,
    log: Log | None = None,
    processes: Processes | None = None,
    start: SparseAutoencoder | None = None,
) -> Training:
    """Train on samples (n, d) float32, which may lie in files: batches are read by row.

    With `checkpoint`, an interrupted run of the same settings and samples goes on where it was
    last saved and ends with the same weights. `log` hears every step. With several `processes`
    each computes its part of every batch; the result is the same up to rounding. With `start`
    the weights begin at that autoencoder's instead of random ones.

    Raises ConfigurationError for samples that are not a finite (n, d) matrix, fewer than two, or
    all alike, for a checkpoint of another run, and for a `start` of other settings. Hold episodes
    out before calling: this function uses every sample it gets.
    """
    processes = processes or Processes()
    trainer = Trainer(samples, settings, torch.device(device), processes, start)
    if checkpoint is not None:
        checkpoint.resume(trainer)
    began, first = time.perf_counter(), trainer.step_number
    with CommandProgress(progress and processes.is_first) as bar:
        task = bar.add_task("train SAE", total=trainer.steps, completed=first)
        while trainer.step_number < trainer.steps:
            report = trainer.advance()
            if log is not None:
                log(report)
            if checkpoint is not None and processes.is_first:
                checkpoint.save_if_due(trainer)
            bar.advance(task)
            if trainer.step_number % trainer.steps_per_epoch == 0:
                note = f"FVU {trainer.fvu_history[-1]:.4f}, {trainer.dead_count()} dead"
                bar.update(task, note=note)
    seconds = time.perf_counter() - began
    return Training(
        sae=trainer.result(),
        fvu_history=tuple(trainer.fvu_history),
        dead_features=trainer.dead_count(),
        steps=trainer.steps,
        examples_per_second=(trainer.steps - first) * trainer.batch_size / max(seconds, 1e-9),
    )


class Trainer:
    """The state of one training run; `train` drives it to its end.

    Attributes:
        steps, steps_per_epoch, batch_size: of the whole run; a batch is shared by all processes.
        step_number: steps taken. fvu_history: mean FVU of every finished epoch.
    """

    def __init__(
        self,
        samples: Samples,
        settings: TrainingSettings,
        device: torch.device,
        processes: Processes | None = None,
        start: SparseAutoencoder | None = None,
    ) -> None:
        check_samples(samples)
        self.settings = settings
        self.step_number = 0
        self.fvu_history: list[float] = []
        self._samples = samples
        self._device = device
        self._processes = processes or Processes()
        self._random = np.random.default_rng(settings.seed)
        self._centre, self._scale = self._measure()
        self.batch_size = min(settings.batch_size, len(samples))
        self.steps_per_epoch = len(samples) // self.batch_size
        self.steps = self.steps_per_epoch * settings.epochs_for(len(samples))
        self._check_processes()
        self._objective = objective_for(settings, samples.shape[1], device)
        if start is not None:
            check_start(start, settings, samples.shape[1])
            self._objective.start_from(start, self._centre, self._scale)
        self._adam = Adam(self._objective.weights, eps=_ADAM_EPSILON)
        self._unfired = torch.zeros(settings.dictionary_size, dtype=torch.long, device=device)
        self._epoch_fvu = torch.zeros((), device=device)
        self._first_bad = torch.full((), -1, dtype=torch.long, device=device)
        self._epoch_random: dict[str, Any] = {}
        self._order: np.ndarray = np.zeros(0, np.int64)

    @torch.no_grad()
    def advance(self) -> StepReport:
        """Take one optimiser step, on the next batch of this epoch's shuffle."""
        place = self.step_number % self.steps_per_epoch
        if place == 0:
            self._shuffle()
        batch = self._order[place * self.batch_size : (place + 1) * self.batch_size]
        own = np.sort(batch[self._processes.rank :: self._processes.count])
        rate = self.settings.rate_at(self.step_number, self.steps)
        report = self._step(self._standardise(self._samples[own]), rate)
        self._check_finite(report)
        self.step_number += 1
        self._epoch_fvu += report.fvu
        if place == self.steps_per_epoch - 1:
            self.fvu_history.append(float(self._epoch_fvu) / self.steps_per_epoch)
            self._epoch_fvu.zero_()
        return report

    def dead_count(self) -> int:
        """Return the number of features that have not fired for `dead_after_steps` steps."""
        return int(self._dead().sum())

    def result(self) -> SparseAutoencoder:
        """Return the autoencoder so far, in the units of the normalised samples."""
        return self._objective.autoencoder(self._centre, self._scale, self.settings.normalization)

    def state(self) -> TrainingState:
        """Return what a checkpoint has to hold; the tensors are those that training changes."""
        return TrainingState(
            tensors={
                **{f"weight.{n}": weight for n, weight in enumerate(self._objective.weights)},
                **{f"memory.{name}": one for name, one in self._objective.memory.items()},
                **{f"adam.{name}": one for name, one in self._adam.moments.items()},
                "unfired": self._unfired,
                "epoch_fvu": self._epoch_fvu,
            },
            facts={
                "step_number": self.step_number,
                "fvu_history": self.fvu_history,
                "epoch_random": self._epoch_random,
            },
        )

    def restore(self, state: TrainingState) -> None:
        """Go on from a state that a trainer of the same settings and samples returned."""
        for name, tensor in self.state().tensors.items():
            tensor.copy_(state.tensors[name])
        self.step_number = state.facts["step_number"]
        self.fvu_history = list(state.facts["fvu_history"])
        self._adam.steps = self.step_number
        if state.facts["epoch_random"]:
            self._random.bit_generator.state = state.facts["epoch_random"]
            self._shuffle()

    def _shuffle(self) -> None:
        self._epoch_random = dict(self._random.bit_generator.state)
        self._order = self._random.permutation(len(self._samples))

    def _step(self, x: Tensor, rate: float) -> StepReport:
        step = self._objective.step(x, self._dead(), self._processes.total)
        decoder = self._objective.decoder
        gradient = step.gradients[1]
        along = (gradient * decoder).sum(dim=1, keepdim=True)
        gradient.addcmul_(along, decoder, value=-1.0)
        clip_by_norm(step.gradients, self.settings.clip_norm)
        self._adam.step(step.gradients, rate)
        decoder.div_(decoder.norm(dim=1, keepdim=True))
        self._unfired.add_(1).masked_fill_(step.fired > 0, 0)
        l0 = step.fired.sum() / self.batch_size
        return StepReport(self.step_number, step.fvu, step.auxiliary, l0, rate)

    def _check_finite(self, report: StepReport) -> None:
        """Stop at the first loss that is no number, before the weights are saved.

        Looking makes a GPU wait, so there it is looked at every _LOOKED_AT steps.
        """
        bad = ~(report.fvu + report.auxiliary).isfinite()
        self._first_bad = torch.where(bad & (self._first_bad < 0), report.step, self._first_bad)
        last = report.step + 1 == self.steps
        if self._device.type != "cpu" and (report.step + 1) % _LOOKED_AT and not last:
            return
        step = int(self._first_bad)
        if step >= 0:
            raise TrainingFailed(self._what_failed(step))

    def _what_failed(self, step: int) -> str:
        place = step % self.steps_per_epoch
        rows = np.sort(self._order[place * self.batch_size : (place + 1) * self.batch_size])
        batch = np.asarray(self._samples[rows], np.float64)
        largest = int(rows[int(np.abs(batch).max(axis=1).argmax())])
        return (
            f"The loss of step {step} is not finite, so training stopped there. Its batch contains "
            f"{len(rows)} samples, {rows[:6].tolist()} and so on; the largest number, "
            f"{np.abs(batch).max():.4g}, is in sample {largest}; the learning rate was "
            f"{self.settings.rate_at(step, self.steps):.3g}. Check that sample, or use a smaller "
            "--learning-rate. Earlier checkpoints are valid."
        )

    def _dead(self) -> Tensor:
        return self._unfired > self.settings.dead_after_steps

    def _standardise(self, rows: np.ndarray) -> Tensor:
        x = torch.from_numpy(np.array(rows, np.float32)).to(self._device)
        # In place: for a large tensor of its own the system's pages cost more than the arithmetic.
        return self._normalize(x).sub_(self._centre).div_(self._scale)

    def _normalize(self, x: Tensor) -> Tensor:
        """Normalise by the very code that serves."""
        return normalize(x, self.settings.normalization, torch.zeros_like(x[0]))[0]

    def _measure(self) -> tuple[Tensor, float]:
        """Return the geometric median (d,) and the root mean square deviation per dimension."""
        count = min(_MEDIAN_SAMPLES, len(self._samples))
        rows = np.sort(self._random.choice(len(self._samples), count, replace=False))
        x = torch.from_numpy(np.array(self._samples[rows], np.float32)).to(self._device)
        x = self._normalize(x)
        centre = geometric_median(x)
        scale = float((x - centre).double().square().mean().sqrt())
        if scale <= 1e-7 * max(1.0, float(x.abs().max())):
            raise ConfigurationError(
                complaint("spread of the samples to train on", scale, "above 0")
            )
        return centre, scale

    def _check_processes(self) -> None:
        count = self._processes.count
        if self.batch_size % count:
            raise ConfigurationError(
                complaint("batch size", self.batch_size, f"a multiple of the {count} processes")
            )
        if count > 1 and self.settings.kind == "batchtopk":
            raise ConfigurationError(
                complaint(
                    "number of processes for batchtopk",
                    count,
                    1,
                    "It keeps the largest codes of a whole batch, which no process has alone.",
                )
            )
