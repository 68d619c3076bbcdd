"""Training a TopK autoencoder on residual-stream samples.

Recipe of Gao et al. 2024 (TopK + AuxK): bias from the geometric median, unit decoder rows with
gradients projected to their tangent, Adam with a warm-up, clipped gradients. Samples are centred
and scaled by one number before training and the result is folded back, which changes no code and
makes the learning rate independent of the size of the activations.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor

from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.sae.adam import Adam, clip_by_norm
from vla_sae_ros.sae.geometric_median import geometric_median
from vla_sae_ros.sae.gradients import AuxK, Weights, loss_and_gradients
from vla_sae_ros.sae.normalization import NORMALIZATIONS
from vla_sae_ros.sae.topk import TopKSAE

_MEDIAN_SAMPLES = 10_000
_ADAM_EPSILON = 6.25e-10


@dataclass(frozen=True)
class TrainingSettings:
    """How to train; the same settings, samples and thread count give the same weights.

    learning_rate None means 5e-4 / sqrt(F / 2^14): the scaling law of Gao et al. 2024 with a larger
    constant, which reached a lower held-out FVU on data sets of 1e4 to 1e5 samples.
    epochs None means about 4e6 samples in all, between 5 and 100 epochs.
    dead_after_steps: a feature is dead after this many optimiser steps without firing.
    warm_up_share and decay_share: shares of all steps for the linear rise and the final fall.
    aux_k None means min(512, d / 2).
    """

    dictionary_size: int
    k: int = 32
    normalization: str = "layer_norm"
    batch_size: int = 1024
    epochs: int | None = None
    learning_rate: float | None = None
    warm_up_share: float = 0.1
    decay_share: float = 0.2
    clip_norm: float = 1.0
    aux_coefficient: float = 1 / 32
    aux_k: int | None = None
    dead_after_steps: int = 100
    seed: int = 0

    def __post_init__(self) -> None:
        """Raise ConfigurationError naming the first setting out of its range."""
        for name in ("dictionary_size", "k", "batch_size", "dead_after_steps"):
            _require(name, getattr(self, name), getattr(self, name) >= 1, "at least 1")
        _require("k", self.k, self.k <= self.dictionary_size, f"up to {self.dictionary_size}")
        _require(
            "normalization",
            self.normalization,
            self.normalization in NORMALIZATIONS,
            NORMALIZATIONS,
        )
        _require("epochs", self.epochs, self.epochs is None or self.epochs >= 1, "at least 1")
        rate = self.learning_rate
        _require("learning_rate", rate, rate is None or 0 < rate < 1, "above 0 and below 1")
        _require("aux_k", self.aux_k, self.aux_k is None or self.aux_k >= 1, "at least 1")
        _require("clip_norm", self.clip_norm, self.clip_norm > 0, "above 0")
        _require("aux_coefficient", self.aux_coefficient, self.aux_coefficient >= 0, "0 or more")
        shares = self.warm_up_share + self.decay_share
        fine = self.warm_up_share >= 0 and self.decay_share >= 0 and shares <= 1
        _require("warm_up_share + decay_share", shares, fine, "each 0 or more, together up to 1")

    def epochs_for(self, samples: int) -> int:
        """Return the number of epochs over that many samples."""
        if self.epochs is not None:
            return self.epochs
        return min(100, max(5, round(4e6 / samples)))


@dataclass(frozen=True)
class Training:
    """A trained autoencoder and how it got there.

    fvu_history: (epochs,) mean training FVU of each epoch, in normalised units.
    dead_features: number of features dead at the last step.
    """

    sae: TopKSAE
    fvu_history: tuple[float, ...]
    dead_features: int
    steps: int
    examples_per_second: float


def train(
    samples: np.ndarray,
    settings: TrainingSettings,
    device: str | torch.device = "cpu",
    progress: bool = True,
) -> Training:
    """Train on samples (n, d) float32, which may be memory-mapped: batches are read by row.

    Raises ConfigurationError for samples that are not a finite (n, d) matrix, fewer than two, or
    all alike. Hold episodes out before calling: this function uses every sample it gets.
    """
    trainer = Trainer(samples, settings, torch.device(device))
    began = time.perf_counter()
    steps = trainer.steps_per_epoch * trainer.epochs
    history: list[float] = []
    with _progress_bar(progress) as bar:
        task = bar.add_task("train SAE", total=steps, note="")
        for _ in range(trainer.epochs):
            total = torch.zeros((), device=device)
            for fvu in trainer.epoch():
                total += fvu
                bar.advance(task)
            history.append(float(total) / trainer.steps_per_epoch)
            bar.update(task, note=f"FVU {history[-1]:.4f}, {trainer.dead_count()} dead")
    seconds = time.perf_counter() - began
    return Training(
        sae=trainer.result(),
        fvu_history=tuple(history),
        dead_features=trainer.dead_count(),
        steps=steps,
        examples_per_second=steps * trainer.batch_size / seconds,
    )


class Trainer:
    """The optimiser state of one training run; `train` drives it to its end."""

    def __init__(
        self, samples: np.ndarray, settings: TrainingSettings, device: torch.device
    ) -> None:
        _check_samples(samples)
        self._samples = samples
        self._settings = settings
        self._device = device
        self._order = np.random.default_rng(settings.seed)
        self._normalize = _normalizer(samples.shape[1], settings.normalization).normalize
        self._centre, self._scale = self._measure()
        self.batch_size = min(settings.batch_size, len(samples))
        self.steps_per_epoch = len(samples) // self.batch_size
        self.epochs = settings.epochs_for(len(samples))
        self._weights = self._initial_weights()
        self._unfired = torch.zeros(settings.dictionary_size, dtype=torch.long, device=device)
        d_in = samples.shape[1]
        self._aux = AuxK(settings.aux_k or max(1, min(512, d_in // 2)), settings.aux_coefficient)
        self._adam = Adam(self._weights.as_list(), eps=_ADAM_EPSILON)
        self._step_number = 0

    def epoch(self) -> Iterator[Tensor]:
        """Take one optimiser step per batch of a fresh shuffle, yielding each batch's FVU (0-d)."""
        order = self._order.permutation(len(self._samples))
        for step in range(self.steps_per_epoch):
            rows = np.sort(order[step * self.batch_size : (step + 1) * self.batch_size])
            yield self._step(self._standardise(self._samples[rows]))

    def dead_count(self) -> int:
        """Return the number of features that have not fired for `dead_after_steps` steps."""
        return int(self._dead().sum())

    def result(self) -> TopKSAE:
        """Return the autoencoder so far, in the units of the normalised samples."""
        return TopKSAE(
            W_enc=self._weights.encoder.T,
            b_enc=torch.zeros(self._settings.dictionary_size, device=self._device),
            W_dec=self._weights.decoder,
            b_dec=self._centre + self._scale * self._weights.bias,
            k=self._settings.k,
            normalization=self._settings.normalization,
        )

    @torch.no_grad()
    def _step(self, x: Tensor) -> Tensor:
        step = loss_and_gradients(x, self._weights, self._settings.k, self._dead(), self._aux)
        decoder, gradient = self._weights.decoder, step.gradients[1]
        along = (gradient * decoder).sum(dim=1, keepdim=True)
        gradient.addcmul_(along, decoder, value=-1.0)
        clip_by_norm(step.gradients, self._settings.clip_norm)
        self._adam.step(step.gradients, self._rate())
        self._step_number += 1
        decoder.div_(decoder.norm(dim=1, keepdim=True))
        self._unfired.add_(1).masked_fill_(step.fired > 0, 0)
        return step.fvu

    def _dead(self) -> Tensor:
        return self._unfired > self._settings.dead_after_steps

    def _standardise(self, rows: np.ndarray) -> Tensor:
        x = torch.from_numpy(np.ascontiguousarray(rows, np.float32)).to(self._device)
        return (self._normalize(x)[0] - self._centre) / self._scale

    def _measure(self) -> tuple[Tensor, float]:
        """Return the geometric median (d,) and the root mean square deviation per dimension."""
        count = min(_MEDIAN_SAMPLES, len(self._samples))
        rows = np.sort(self._order.choice(len(self._samples), count, replace=False))
        x = torch.from_numpy(np.array(self._samples[rows], np.float32)).to(self._device)
        x = self._normalize(x)[0]
        centre = geometric_median(x)
        scale = float((x - centre).double().square().mean().sqrt())
        if scale <= 1e-7 * max(1.0, float(x.abs().max())):
            raise ConfigurationError(
                complaint("spread of the samples to train on", scale, "above 0")
            )
        return centre, scale

    def _initial_weights(self) -> Weights:
        size, d_in = self._settings.dictionary_size, self._samples.shape[1]
        generator = torch.Generator().manual_seed(self._settings.seed)
        decoder = torch.randn(size, d_in, generator=generator)
        decoder /= decoder.norm(dim=1, keepdim=True)
        encoder = decoder * math.sqrt(self._settings.k / size)
        return Weights(
            encoder.to(self._device), decoder.to(self._device), torch.zeros(d_in).to(self._device)
        )

    def _rate(self) -> float:
        rate = self._settings.learning_rate
        if rate is None:
            rate = 5e-4 / math.sqrt(self._settings.dictionary_size / 2**14)
        steps = self.steps_per_epoch * self.epochs
        return rate * _rate_factor(self._step_number, steps, self._settings)


def _progress_bar(shown: bool) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total} steps, {task.fields[note]}"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=not shown,
    )


def _rate_factor(step: int, steps: int, settings: TrainingSettings) -> float:
    rise = settings.warm_up_share * steps
    fall = settings.decay_share * steps
    up = (step + 1) / rise if rise else 1.0
    down = (steps - step) / fall if fall else 1.0
    return min(1.0, up, down)


def _normalizer(d_in: int, normalization: str) -> TopKSAE:
    """Return a one-feature autoencoder: training normalises by the very code that serves."""
    none = torch.zeros(d_in, 1)
    return TopKSAE(none, torch.zeros(1), none.T, torch.zeros(d_in), 1, normalization)


def _check_samples(samples: np.ndarray) -> None:
    if samples.ndim != 2 or len(samples) < 2:
        raise ConfigurationError(
            complaint("shape of the samples to train on", samples.shape, "(n >= 2, d)")
        )
    for start in range(0, len(samples), 65536):
        finite = np.isfinite(samples[start : start + 65536]).all(axis=1)
        if not finite.all():
            row = start + int(np.argmin(finite))
            raise ConfigurationError(
                f"Sample {row} of {len(samples)} holds NaN or infinity. "
                "Collect the activations again; a policy that computes NaN cannot be studied."
            )


def _require(name: str, got: object, fine: bool, allowed: object) -> None:
    if not fine:
        raise ConfigurationError(complaint(f"training setting {name}", got, allowed))
