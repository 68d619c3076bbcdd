"""How to train an autoencoder."""

from __future__ import annotations

from dataclasses import dataclass

from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.sae.kinds.normalization import NORMALIZATIONS

KINDS = ("topk", "batchtopk", "jumprelu", "relu")
_COEFFICIENTS = {"jumprelu": 0.01, "relu": 0.1}


@dataclass(frozen=True)
class TrainingSettings:
    """How to train; the same settings, samples and thread count give the same weights.

    kind: one of KINDS. k: active features per sample, kept by topk and batchtopk.
    sparsity: of jumprelu and relu, the penalty's coefficient beside FVU; None means the kind's
    default: FVU that one more active feature has to explain, or FVU per unit of sum z / sqrt(d).
    learning_rate None means 5e-4 / sqrt(F / 2^14): the scaling law of Gao et al. 2024 with a larger
    constant, which reached a lower held-out FVU on data sets of 1e4 to 1e5 samples.
    epochs None means about 4e6 samples in all, between 5 and 100 epochs.
    dead_after_steps: a feature is dead after this many optimiser steps without firing.
    warm_up_share and decay_share: shares of all steps for the linear rise and the final fall.
    aux_k None means min(512, d / 2).
    """

    dictionary_size: int
    kind: str = "topk"
    k: int = 32
    sparsity: float | None = None
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
        _require("kind", self.kind, self.kind in KINDS, KINDS)
        for name in ("dictionary_size", "k", "batch_size", "dead_after_steps"):
            _require(name, getattr(self, name), getattr(self, name) >= 1, "at least 1")
        _require("seed", self.seed, self.seed >= 0, "0 or more")
        _require("k", self.k, self.k <= self.dictionary_size, f"up to {self.dictionary_size}")
        _require(
            "normalization",
            self.normalization,
            self.normalization in NORMALIZATIONS,
            NORMALIZATIONS,
        )
        sparsity, penalised = self.sparsity, self.kind in _COEFFICIENTS
        fine = sparsity is None or (penalised and sparsity > 0)
        _require("sparsity", sparsity, fine, "above 0, for jumprelu and relu only")
        _require("epochs", self.epochs, self.epochs is None or self.epochs >= 1, "at least 1")
        rate = self.learning_rate
        _require("learning_rate", rate, rate is None or 0 < rate < 1, "above 0 and below 1")
        _require("aux_k", self.aux_k, self.aux_k is None or self.aux_k >= 1, "at least 1")
        _require("clip_norm", self.clip_norm, self.clip_norm > 0, "above 0")
        _require("aux_coefficient", self.aux_coefficient, self.aux_coefficient >= 0, "0 or more")
        shares = self.warm_up_share + self.decay_share
        fine = self.warm_up_share >= 0 and self.decay_share >= 0 and shares <= 1
        _require("warm_up_share + decay_share", shares, fine, "each 0 or more, together up to 1")

    @property
    def sparsity_coefficient(self) -> float:
        """Return the coefficient of the penalty of a penalised kind."""
        return _COEFFICIENTS[self.kind] if self.sparsity is None else self.sparsity

    def epochs_for(self, samples: int) -> int:
        """Return the number of epochs over that many samples."""
        if self.epochs is not None:
            return self.epochs
        return min(100, max(5, round(4e6 / samples)))

    def rate_at(self, step: int, steps: int) -> float:
        """Return the learning rate of step `step`, from 0, of `steps`."""
        rate = self.learning_rate
        if rate is None:
            rate = 5e-4 / (self.dictionary_size / 2**14) ** 0.5
        rise, fall = self.warm_up_share * steps, self.decay_share * steps
        up = (step + 1) / rise if rise else 1.0
        down = (steps - step) / fall if fall else 1.0
        return rate * min(1.0, up, down)


def _require(name: str, got: object, fine: bool, allowed: object) -> None:
    if not fine:
        raise ConfigurationError(complaint(f"training setting {name}", got, allowed))
