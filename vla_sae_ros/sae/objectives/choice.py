"""Which objective trains which kind of autoencoder."""

from __future__ import annotations

import math

import torch

from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.sae.kinds.sparse_autoencoder import SparseAutoencoder
from vla_sae_ros.sae.objectives.batch_topk import BatchTopKObjective
from vla_sae_ros.sae.objectives.gradients import AuxK, Weights
from vla_sae_ros.sae.objectives.objective import Objective
from vla_sae_ros.sae.objectives.penalised import JumpReLUObjective, ReLUObjective
from vla_sae_ros.sae.objectives.topk import TopKObjective
from vla_sae_ros.sae.objectives.training_settings import TrainingSettings

ARCHITECTURES = {
    "topk": "topk",
    "batchtopk": "jumprelu",
    "jumprelu": "jumprelu",
    "relu": "standard",
}
"""Of the autoencoder that each kind of training returns, as it is stored."""


def check_start(start: SparseAutoencoder, settings: TrainingSettings, d_in: int) -> None:
    """Raise ConfigurationError naming the first thing in which `start` is of another training."""
    has = {
        "architecture": (start.architecture, ARCHITECTURES[settings.kind]),
        "width": (start.d_in, d_in),
        "dictionary size": (start.dictionary_size, settings.dictionary_size),
        "normalization": (start.normalization, settings.normalization),
        "apply_b_dec_to_input": (start.apply_b_dec_to_input, True),
        "pre_bias": (bool((start.pre_bias != 0).any()), False),
        "unit decoder rows": (bool(((start.W_dec.norm(dim=1) - 1).abs() < 1e-3).all()), True),
    }
    if ARCHITECTURES[settings.kind] == "topk":  # trained without one
        has["b_enc other than 0"] = (bool((start.b_enc != 0).any()), False)
    for name, (got, needed) in has.items():
        if got != needed:
            raise ConfigurationError(
                complaint(f"{name} of the SAE to start from", got, repr(needed))
            )


def objective_for(settings: TrainingSettings, d_in: int, device: torch.device) -> Objective:
    """Return the objective of `settings.kind` with its initial weights, the same for a seed.

    Decoder rows are random unit vectors. The encoder is the transposed decoder, times sqrt(k / F)
    where k features are kept (Dr.VLA), so that the first codes are of the right size.
    """
    size = settings.dictionary_size
    generator = torch.Generator().manual_seed(settings.seed)
    decoder = torch.randn(size, d_in, generator=generator)
    decoder /= decoder.norm(dim=1, keepdim=True)
    keeps_k = settings.kind in ("topk", "batchtopk")
    encoder = decoder * (math.sqrt(settings.k / size) if keeps_k else 1.0)
    weights = Weights(encoder.to(device), decoder.to(device), torch.zeros(d_in, device=device))
    aux = AuxK(settings.aux_k or max(1, min(512, d_in // 2)), settings.aux_coefficient)
    if settings.kind == "topk":
        return TopKObjective(weights, settings.k, aux)
    if settings.kind == "batchtopk":
        return BatchTopKObjective(weights, settings.k, aux)
    if settings.kind == "jumprelu":
        return JumpReLUObjective(weights, settings.sparsity_coefficient)
    return ReLUObjective(weights, settings.sparsity_coefficient)
