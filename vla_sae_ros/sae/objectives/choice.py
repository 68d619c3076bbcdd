"""Which objective trains which kind of autoencoder."""

from __future__ import annotations

import math

import torch

from vla_sae_ros.sae.objectives.batch_topk import BatchTopKObjective
from vla_sae_ros.sae.objectives.gradients import AuxK, Weights
from vla_sae_ros.sae.objectives.objective import Objective
from vla_sae_ros.sae.objectives.penalised import JumpReLUObjective, ReLUObjective
from vla_sae_ros.sae.objectives.topk import TopKObjective
from vla_sae_ros.sae.objectives.training_settings import TrainingSettings


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
