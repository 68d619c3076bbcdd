"""TopK with the auxiliary loss AuxK (Gao et al. 2024)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from vla_sae_ros.sae.kinds.sparse_autoencoder import SparseAutoencoder
from vla_sae_ros.sae.kinds.topk import TopKSAE
from vla_sae_ros.sae.objectives.gradients import (
    AuxK,
    Step,
    Total,
    Weights,
    loss_and_gradients,
    top_k,
)
from vla_sae_ros.sae.shapes import Batch, FeatureMask, PerDimension


class TopKObjective:
    """The k largest pre-activations of each sample are its code; no encoder bias."""

    def __init__(self, weights: Weights, k: int, aux: AuxK) -> None:
        self._weights = weights
        self._k = k
        self._aux = aux

    @property
    def weights(self) -> list[Tensor]:
        return self._weights.as_list()

    @property
    def decoder(self) -> Tensor:
        return self._weights.decoder

    @property
    def memory(self) -> dict[str, Tensor]:
        return {}

    def step(self, x: Batch, dead: FeatureMask, total: Total) -> Step:
        return loss_and_gradients(x, self._weights, top_k(self._k), dead, self._aux, total)

    def start_from(self, sae: SparseAutoencoder, centre: PerDimension, scale: float) -> None:
        self._weights.take(sae, centre, scale)

    def autoencoder(
        self, centre: PerDimension, scale: float, normalization: str
    ) -> SparseAutoencoder:
        return TopKSAE(**self._tensors(centre, scale), k=self._k, normalization=normalization)

    def _tensors(self, centre: PerDimension, scale: float) -> dict[str, Any]:
        # Without an encoder bias codes scale with the samples: the encoder stays as it is.
        return {
            "W_enc": self._weights.encoder.T,
            "b_enc": torch.zeros_like(self._weights.decoder[:, 0]),
            "W_dec": self._weights.decoder,
            "b_dec": centre + scale * self._weights.bias,
        }
