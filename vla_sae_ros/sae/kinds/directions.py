"""Directions that are no SAE features, in the interface of one: a code is a signed projection.

Mean differences, linear probes and the leading rows of a conceptor are read and edited like
features. Nothing is sparse here and nothing is reconstructed.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from vla_sae_ros.sae.kinds.active_code import ActiveCode
from vla_sae_ros.sae.kinds.sparse_autoencoder import SparseAutoencoder
from vla_sae_ros.sae.shapes import (
    Codes,
    Encoder,
    FeatureRows,
    PerDimension,
    PerFeature,
    PerSample,
    Residuals,
)


class Directions(SparseAutoencoder):
    """z_j = (x . u_j - m_j) / s_j: the projection on a unit row, in units of its own spread.

    With W_enc = u / s, b_enc = -m / s and W_dec = s u, an add of v moves the projection by v
    spreads and a clamp puts it at v spreads from its mean. Rows need not be orthogonal: an edit of
    one moves the projection on another by s_i (u_i . u_j) / s_j.
    """

    architecture = "directions"
    signed = True

    def __init__(
        self,
        W_enc: Encoder,
        b_enc: PerFeature,
        W_dec: FeatureRows,
        b_dec: PerDimension,
        normalization: str = "none",
        apply_b_dec_to_input: bool = False,
        pre_bias: PerDimension | None = None,
        k: int | None = None,
    ) -> None:
        """Take the weights W_enc (d, F), b_enc (F,), W_dec (F, d), b_dec (d,), all finite.

        k: F, as every projection is listed; None means that, too.
        Raises ConfigurationError naming the first weight, k or normalisation that cannot be.
        """
        weights = {"W_enc": W_enc, "b_enc": b_enc, "W_dec": W_dec, "b_dec": b_dec}
        k = W_enc.shape[-1] if k is None else k
        super().__init__(weights, k, normalization, apply_b_dec_to_input, pre_bias)

    @classmethod
    def of_rows(cls, rows: Tensor, mean: Tensor, spread: Tensor) -> Directions:
        """Return directions of unit `rows` (n, d) whose projections have `mean` and `spread` (n,).

        spread: above 0. b_dec is zero: nothing is reconstructed.
        """
        return cls(
            (rows / spread[:, None]).T,
            -mean / spread,
            rows * spread[:, None],
            rows.new_zeros(rows.shape[1]),
        )

    def activate(self, hidden: Codes) -> Codes:
        """Return the projections (..., F) as they are, of either sign."""
        return hidden

    def encode_normalized(self, x_n: Residuals) -> ActiveCode:
        """Return every projection, listed in the order of the rows."""
        dense = self.hidden(x_n)
        index = torch.arange(self.dictionary_size, device=dense.device).expand(dense.shape)
        return ActiveCode(index, dense, dense)

    def fraction_unexplained(self, x_n: Residuals, code: ActiveCode) -> PerSample:
        """Return NaN: a few rows do not stand for the stream."""
        return x_n.new_tensor(math.nan)

    def remade(self, weights: dict[str, Tensor], apply_b_dec_to_input: bool) -> Directions:
        """Return directions of these weights."""
        return Directions(
            **weights,
            normalization=self.normalization,
            pre_bias=self.pre_bias.detach(),
            k=len(weights["b_enc"]),
            apply_b_dec_to_input=apply_b_dec_to_input,
        )
