"""BatchTopK with the auxiliary loss AuxK (Bussmann et al. 2024, arXiv 2412.06410)."""

from __future__ import annotations

import torch
from torch import Tensor

from vla_sae_ros.sae.kinds.batch_topk import BatchTopKSAE
from vla_sae_ros.sae.kinds.jumprelu import JumpReLUSAE
from vla_sae_ros.sae.kinds.sparse_autoencoder import SparseAutoencoder
from vla_sae_ros.sae.objectives.gradients import (
    AuxK,
    Selected,
    Step,
    Total,
    Weights,
    batch_top_k,
    loss_and_gradients,
)
from vla_sae_ros.sae.objectives.topk import TopKObjective
from vla_sae_ros.sae.shapes import Batch, FeatureMask, PerDimension

_MEMORY = 0.99
"""Share of the running threshold that one batch leaves: a mean over about a hundred batches."""


class BatchTopKObjective(TopKObjective):
    """The k B largest pre-activations of a batch are its code; no encoder bias.

    The threshold with which the autoencoder serves is the running mean of the smallest active code.
    """

    def __init__(self, weights: Weights, k: int, aux: AuxK) -> None:
        super().__init__(weights, k, aux)
        self._select = batch_top_k(k)
        self._threshold = weights.bias.new_full((), -1.0)  # not measured yet

    @property
    def memory(self) -> dict[str, Tensor]:
        return {"threshold": self._threshold}

    def step(self, x: Batch, dead: FeatureMask, total: Total) -> Step:
        return loss_and_gradients(
            x, self._weights, self._select_and_remember, dead, self._aux, total
        )

    def start_from(self, sae: SparseAutoencoder, centre: PerDimension, scale: float) -> None:
        super().start_from(sae, centre, scale)
        assert isinstance(sae, JumpReLUSAE)  # as which a BatchTopKSAE is stored
        self._threshold.copy_(sae.threshold[0] / scale)

    def autoencoder(self, centre: PerDimension, scale: float, normalization: str) -> BatchTopKSAE:
        return BatchTopKSAE(
            **self._tensors(centre, scale),
            threshold=float(self._threshold) * scale,
            normalization=normalization,
        )

    def _select_and_remember(self, hidden: Tensor) -> Selected:
        code = self._select(hidden)
        smallest = code.value.masked_fill(code.value <= 0, torch.inf).min()
        first = self._threshold < 0
        mean = self._threshold.lerp(smallest, 1 - _MEMORY)
        self._threshold.copy_(torch.where(first, smallest, mean))
        return code
