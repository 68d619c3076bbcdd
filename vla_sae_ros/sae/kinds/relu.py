"""The ReLU sparse autoencoder, trained with an L1 penalty; SAELens' `standard`.

Source of the architecture: Bricken et al. 2023, "Towards monosemanticity".
"""

from __future__ import annotations

from torch import Tensor

from vla_sae_ros.sae.kinds.sparse_autoencoder import LISTED_FEATURES, SparseAutoencoder
from vla_sae_ros.sae.shapes import Codes, Encoder, FeatureRows, PerDimension, PerFeature


class ReLUSAE(SparseAutoencoder):
    """z = relu(hidden)."""

    architecture = "standard"

    def __init__(
        self,
        W_enc: Encoder,
        b_enc: PerFeature,
        W_dec: FeatureRows,
        b_dec: PerDimension,
        normalization: str = "none",
        apply_b_dec_to_input: bool = True,
        pre_bias: PerDimension | None = None,
        k: int | None = None,
    ) -> None:
        """Take the weights W_enc (d, F), b_enc (F,), W_dec (F, d), b_dec (d,), all finite.

        k: most features in the list of an `ActiveCode`; None means LISTED_FEATURES.
        Raises ConfigurationError naming the first weight, k or normalisation that cannot be.
        """
        weights = {"W_enc": W_enc, "b_enc": b_enc, "W_dec": W_dec, "b_dec": b_dec}
        k = min(LISTED_FEATURES, W_enc.shape[-1]) if k is None else k
        super().__init__(weights, k, normalization, apply_b_dec_to_input, pre_bias)

    def activate(self, hidden: Codes) -> Codes:
        """Return the dense code (..., F) >= 0 of the pre-activations (..., F)."""
        return hidden.relu()

    def remade(self, weights: dict[str, Tensor], apply_b_dec_to_input: bool) -> ReLUSAE:
        """Return a ReLU autoencoder of these weights."""
        k = min(self.k, len(weights["b_enc"]))
        return ReLUSAE(
            **weights,
            normalization=self.normalization,
            pre_bias=self.pre_bias.detach(),
            k=k,
            apply_b_dec_to_input=apply_b_dec_to_input,
        )
