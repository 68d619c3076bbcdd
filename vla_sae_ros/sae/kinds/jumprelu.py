"""The JumpReLU sparse autoencoder: a feature is active above a threshold of its own.

Source of the architecture: Rajamanoharan et al. 2024, "Jumping ahead" (arXiv 2407.14435).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vla_sae_ros.sae.kinds.sparse_autoencoder import LISTED_FEATURES, SparseAutoencoder
from vla_sae_ros.sae.shapes import Codes, Encoder, FeatureRows, PerDimension, PerFeature


class JumpReLUSAE(SparseAutoencoder):
    """z = relu(hidden) where hidden > threshold, 0 elsewhere, as SAELens' `jumprelu`."""

    architecture = "jumprelu"
    extra_weights = ("threshold",)
    threshold: nn.Parameter

    def __init__(
        self,
        W_enc: Encoder,
        b_enc: PerFeature,
        W_dec: FeatureRows,
        b_dec: PerDimension,
        threshold: PerFeature,
        normalization: str = "none",
        apply_b_dec_to_input: bool = True,
        pre_bias: PerDimension | None = None,
        k: int | None = None,
    ) -> None:
        """Take W_enc (d, F), b_enc (F,), W_dec (F, d), b_dec (d,), threshold (F,), all finite.

        k: most features in the list of an `ActiveCode`; None means LISTED_FEATURES.
        Raises ConfigurationError naming the first weight, k or normalisation that cannot be.
        """
        weights = {"W_enc": W_enc, "b_enc": b_enc, "W_dec": W_dec, "b_dec": b_dec}
        weights["threshold"] = threshold
        k = min(LISTED_FEATURES, W_enc.shape[-1]) if k is None else k
        super().__init__(weights, k, normalization, apply_b_dec_to_input, pre_bias)

    def activate(self, hidden: Codes) -> Codes:
        """Return the dense code (..., F) >= 0 of the pre-activations (..., F)."""
        return torch.where(hidden > self.threshold, hidden, 0.0).relu_()

    def remade(self, weights: dict[str, Tensor], apply_b_dec_to_input: bool) -> JumpReLUSAE:
        """Return a JumpReLU autoencoder of these weights."""
        k = min(self.k, len(weights["b_enc"]))
        return JumpReLUSAE(
            **weights,
            normalization=self.normalization,
            pre_bias=self.pre_bias.detach(),
            k=k,
            apply_b_dec_to_input=apply_b_dec_to_input,
        )
