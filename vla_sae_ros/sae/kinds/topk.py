"""The TopK sparse autoencoder, with exactly the arithmetic of SAELens >= 6 `topk` checkpoints.

Source of the architecture: Gao et al. 2024, "Scaling and evaluating sparse autoencoders".
"""

from __future__ import annotations

import torch
from torch import Tensor

from vla_sae_ros.sae.kinds.active_code import ActiveCode
from vla_sae_ros.sae.kinds.sparse_autoencoder import SparseAutoencoder
from vla_sae_ros.sae.shapes import (
    ChosenCodes,
    Codes,
    Encoder,
    FeatureRows,
    Features,
    PerDimension,
    PerFeature,
    Residuals,
)


class TopKSAE(SparseAutoencoder):
    """z = relu of the k largest pre-activations, 0 elsewhere."""

    architecture = "topk"

    def __init__(
        self,
        W_enc: Encoder,
        b_enc: PerFeature,
        W_dec: FeatureRows,
        b_dec: PerDimension,
        k: int,
        normalization: str = "none",
        apply_b_dec_to_input: bool = True,
        pre_bias: PerDimension | None = None,
    ) -> None:
        """Take the weights W_enc (d, F), b_enc (F,), W_dec (F, d), b_dec (d,), all finite.

        Raises ConfigurationError naming the first weight, k or normalisation that cannot be.
        """
        weights = {"W_enc": W_enc, "b_enc": b_enc, "W_dec": W_dec, "b_dec": b_dec}
        super().__init__(weights, k, normalization, apply_b_dec_to_input, pre_bias)

    def activate(self, hidden: Codes) -> Codes:
        """Return the dense code (..., F) >= 0 of the pre-activations (..., F)."""
        value, index = hidden.topk(self.k, dim=-1, sorted=False)
        return torch.zeros_like(hidden).scatter_(-1, index, value.relu_())

    def codes_of(self, x_n: Residuals, features: Features) -> ChosenCodes:
        """Return the code (..., n) of `features` (n,) by their ranks: sorting fuses with nothing.

        Features that tie with the k-th largest are all active, where `activate` picks one.
        """
        hidden = self.hidden(x_n)
        chosen = hidden.index_select(-1, features)
        larger = (hidden.unsqueeze(-2) > chosen.unsqueeze(-1)).sum(-1)
        return torch.where(larger < self.k, chosen.relu(), 0.0)

    def encode_normalized(self, x_n: Residuals) -> ActiveCode:
        """Encode what `normalize` returned; the lists say everything, so no dense code is made."""
        value, index = self.hidden(x_n).topk(self.k, dim=-1, sorted=False)
        return ActiveCode(index, value.relu_())

    def remade(self, weights: dict[str, Tensor], apply_b_dec_to_input: bool) -> TopKSAE:
        """Return a TopK autoencoder of these weights."""
        return TopKSAE(
            **weights,
            k=self.k,
            normalization=self.normalization,
            apply_b_dec_to_input=apply_b_dec_to_input,
            pre_bias=self.pre_bias.detach(),
        )

    def of_features(self, features: Features) -> None:
        """Return None: whether a feature is among the k largest depends on the others."""
