"""The BatchTopK sparse autoencoder as it serves: one threshold instead of a top k over a batch.

Source of the architecture: Bussmann et al. 2024, "BatchTopK sparse autoencoders"
(arXiv 2412.06410). Training keeps the k * B largest values of a batch of B samples; at inference,
where a code must not depend on what else is in the batch, a feature is active above the mean of
the smallest values that were kept. SAELens and this package store it as `jumprelu`.
"""

from __future__ import annotations

from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.sae.kinds.jumprelu import JumpReLUSAE
from vla_sae_ros.sae.shapes import Encoder, FeatureRows, PerDimension, PerFeature


class BatchTopKSAE(JumpReLUSAE):
    """z = relu(hidden) where hidden > the one threshold, 0 elsewhere."""

    def __init__(
        self,
        W_enc: Encoder,
        b_enc: PerFeature,
        W_dec: FeatureRows,
        b_dec: PerDimension,
        threshold: float,
        normalization: str = "none",
        apply_b_dec_to_input: bool = True,
        pre_bias: PerDimension | None = None,
        k: int | None = None,
    ) -> None:
        """Take the weights of a `JumpReLUSAE` and the one threshold, from 0 on.

        Raises ConfigurationError for a negative threshold, which the dictionary_learning library
        writes where it was never measured, and as `JumpReLUSAE` does.
        """
        if threshold < 0:
            raise ConfigurationError(
                complaint(
                    "threshold of a BatchTopK SAE",
                    threshold,
                    "0 or more",
                    "It was never measured in training, and without it a code would depend on "
                    "the batch. Train on until the library sets it.",
                )
            )
        super().__init__(
            W_enc,
            b_enc,
            W_dec,
            b_dec,
            b_enc.new_full(b_enc.shape, threshold),
            normalization,
            apply_b_dec_to_input,
            pre_bias,
            k,
        )
