"""What every kind of sparse autoencoder has in common: weights, normalisation, decoding."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from typing import ClassVar

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.sae.kinds.active_code import ActiveCode
from vla_sae_ros.sae.kinds.normalization import NORMALIZATIONS, Normalized, normalize
from vla_sae_ros.sae.kinds.saving import write_saelens, write_sparsify
from vla_sae_ros.sae.shapes import (
    ChosenCodes,
    Codes,
    Features,
    PerDimension,
    PerSample,
    Residuals,
)

_LARGEST = 1e18  # products of two are finite in float32
_FOLDABLE = 1e5  # float32 has seven digits
LISTED_FEATURES = 128
"""Length of the list of active features where the architecture does not limit them itself."""


class SparseAutoencoder(nn.Module, ABC):
    """An autoencoder of d_in = d inputs and F features; float32, no gradients.

    With x_n the normalised input and b_in = b_dec (zero without `apply_b_dec_to_input`):
    z = activate((x_n - b_in) @ W_enc + b_enc) >= 0, x_n ~ z @ W_dec + b_dec. The kinds differ in
    `activate` only. A change dz of the code changes the residual by `scale * (dz @ W_dec)`, where
    `scale` comes from `normalize`; the reconstruction never has to be put into the policy.

    Attributes:
        architecture: SAELens' name of the kind.
        k: most features in the list of an `ActiveCode`; for TopK also the most that are active.
        normalization: one of NORMALIZATIONS.
        pre_bias: (d,) float32, what the normalisation `l2` subtracts first; zero otherwise.
    """

    architecture: ClassVar[str]
    extra_weights: ClassVar[tuple[str, ...]] = ()
    """Names of (F,) weights that a kind has besides the four common ones."""
    signed: ClassVar[bool] = False
    """Whether a code may be negative, so that 0 means nothing."""

    W_enc: nn.Parameter
    b_enc: nn.Parameter
    W_dec: nn.Parameter
    b_dec: nn.Parameter
    pre_bias: nn.Parameter

    def __init__(
        self,
        weights: dict[str, Tensor],
        k: int,
        normalization: str,
        apply_b_dec_to_input: bool,
        pre_bias: PerDimension | None,
    ) -> None:
        """Take W_enc (d, F), b_enc (F,), W_dec (F, d), b_dec (d,) and the `extra_weights` (F,).

        Raises ConfigurationError naming the first weight, k or normalisation that cannot be.
        """
        super().__init__()
        _check_weights(weights, pre_bias)
        _check_k(k, weights["W_enc"].shape[1])
        if normalization not in NORMALIZATIONS:
            raise ConfigurationError(
                complaint("normalization of the SAE", normalization, NORMALIZATIONS)
            )
        if pre_bias is not None and normalization != "l2" and bool((pre_bias != 0).any()):
            raise ConfigurationError(
                complaint("normalization of an SAE with a pre_bias", normalization, "'l2'")
            )
        if pre_bias is None:
            pre_bias = torch.zeros_like(weights["b_dec"])
        for name, weight in {**weights, "pre_bias": pre_bias}.items():
            value = weight.detach().to(torch.float32).contiguous()
            setattr(self, name, nn.Parameter(value, requires_grad=False))
        self.k = k
        self.normalization = normalization
        self.apply_b_dec_to_input = apply_b_dec_to_input

    @abstractmethod
    def activate(self, hidden: Codes) -> Codes:
        """Return the dense code (..., F) >= 0 of the pre-activations (..., F)."""

    @abstractmethod
    def remade(self, weights: dict[str, Tensor], apply_b_dec_to_input: bool) -> SparseAutoencoder:
        """Return an autoencoder like this one with other weights, the `extra_weights` among them.

        It has at most as many features in its lists.
        """

    def without_input_bias(self) -> SparseAutoencoder:
        """Return one with the same codes, up to rounding, that subtracts nothing from its input.

        What `b_dec` does there is in its b_enc. Weights that do not change are shared. It is this
        one where the change would cost digits.
        """
        if not self.apply_b_dec_to_input:
            return self
        parts = self.b_dec.abs() * self.W_enc.norm(dim=1)
        if float(parts.max()) > _FOLDABLE * float(parts.median()):
            return self  # a dimension with next to no spread would leave the others no digits
        b_enc = (self.b_enc.double() - self.b_dec.double() @ self.W_enc.double()).float()
        return self.remade({**self._weights(), "b_enc": b_enc}, False)

    def of_features(self, features: Features) -> SparseAutoencoder | None:
        """Return one of `features` (n,) alone, whose code (..., n) is theirs in this one.

        None where a feature's code depends on the others.
        """
        weights = self._weights()
        chosen = {name: weights[name][features] for name in ("b_enc", "W_dec", *self.extra_weights)}
        chosen |= {"W_enc": weights["W_enc"][:, features], "b_dec": weights["b_dec"]}
        return self.remade(chosen, self.apply_b_dec_to_input)

    def _weights(self) -> dict[str, Tensor]:
        names = ("W_enc", "b_enc", "W_dec", "b_dec", *self.extra_weights)
        return {name: getattr(self, name).detach() for name in names}

    @property
    def d_in(self) -> int:
        """Width d of the residual stream this autoencoder reads."""
        return self.W_enc.shape[0]

    @property
    def dictionary_size(self) -> int:
        """Number F of features."""
        return self.W_enc.shape[1]

    def stored_weights(self) -> dict[str, Tensor]:
        """Return everything that decides a code, by name, on the CPU: what a file has to hold."""
        weights = self._weights()
        if bool((self.pre_bias != 0).any()):
            weights["pre_bias"] = self.pre_bias.detach()
        # Copies: weights of others may be views of one storage, which no file of tensors can hold.
        return {
            name: weight.cpu().clone(memory_format=torch.contiguous_format)
            for name, weight in weights.items()
        }

    def normalize(self, x: Residuals) -> Normalized:
        """Return x_n (..., d), scale (..., 1) and shift (..., 1 or d) of x (..., d), in float32."""
        x = x if x.dtype is torch.float32 else x.to(torch.float32)  # a small policy feels each op
        return normalize(x, self.normalization, self.pre_bias)

    def hidden(self, x_n: Residuals) -> Codes:
        """Return the pre-activations (..., F) of the normalised x_n (..., d)."""
        rows = x_n - self.b_dec if self.apply_b_dec_to_input else x_n
        if rows.dim() == 1:
            return torch.addmv(self.b_enc, self.W_enc.t(), rows)
        if rows.dim() == 2:
            return torch.addmm(self.b_enc, rows, self.W_enc)
        return functional.linear(rows, self.W_enc.t(), self.b_enc)

    def pre_activation(self, x_n: Residuals, feature: int) -> PerSample:
        """Return the pre-activation (...) of one feature for the normalised x_n (..., d)."""
        rows = x_n - self.b_dec if self.apply_b_dec_to_input else x_n
        return rows @ self.W_enc[:, feature] + self.b_enc[feature]

    def codes_of(self, x_n: Residuals, features: Features) -> ChosenCodes:
        """Return the code (..., n) of `features` (n,), in operations that a graph can hold."""
        return self.activate(self.hidden(x_n)).index_select(-1, features)

    def encode_normalized(self, x_n: Residuals) -> ActiveCode:
        """Encode what `normalize` returned, for a caller that needs its scale as well."""
        dense = self.activate(self.hidden(x_n))
        value, index = dense.topk(self.k, dim=-1, sorted=False)
        return ActiveCode(index, value, dense)

    def encode(self, x: Residuals) -> Codes:
        """Return the dense code (..., F) of x (..., d)."""
        return self.activate(self.hidden(self.normalize(x)[0]))

    def decode(self, z: Codes) -> Residuals:
        """Return the normalised reconstruction (..., d) of the dense code z (..., F)."""
        rows = torch.addmm(self.b_dec, z.reshape(-1, self.dictionary_size), self.W_dec)
        return rows.view(*z.shape[:-1], self.d_in)

    def decode_active(self, code: ActiveCode) -> Residuals:
        """Return the normalised reconstruction (..., d), of all active features."""
        if code.dense is not None:
            return self.decode(code.dense)
        rows = functional.embedding_bag(
            code.index.reshape(-1, code.index.shape[-1]),
            self.W_dec,
            mode="sum",
            per_sample_weights=code.value.reshape(-1, code.value.shape[-1]),
        )
        return rows.add_(self.b_dec).view(*code.index.shape[:-1], self.d_in)

    def reconstruct(self, x: Residuals) -> Residuals:
        """Return the reconstruction (..., d) of x (..., d), in the units of x."""
        x_n, scale, shift = self.normalize(x)
        return self.decode_active(self.encode_normalized(x_n)) * scale + shift

    def fraction_unexplained(self, x_n: Residuals, code: ActiveCode) -> PerSample:
        """Return sum |x_n - reconstruction|^2 / sum |x_n - b_dec|^2 as a 0-d tensor.

        The FVU of few samples: b_dec, the centre of the training data, stands for their mean.
        """
        centred = x_n - self.b_dec
        if code.dense is None:
            # Gathering rows beats embedding_bag for the few samples this is meant for.
            explained = (code.value.unsqueeze(-2) @ self.W_dec[code.index]).squeeze(-2)
        else:
            explained = code.dense @ self.W_dec
        return (centred - explained).square_().sum() / centred.square_().sum()

    def save(self, folder: str | os.PathLike[str], library: str = "SAELens") -> None:
        """Write configuration and weights into `folder` as "SAELens" or "sparsify" reads them.

        Raises ConfigurationError for another library, and for what sparsify does not do.
        """
        writers = {"SAELens": write_saelens, "sparsify": write_sparsify}
        if library not in writers:
            raise ConfigurationError(complaint("library to save for", library, sorted(writers)))
        writers[library](self, folder)


def _check_weights(weights: dict[str, Tensor], pre_bias: PerDimension | None) -> None:
    if weights["W_enc"].dim() != 2:
        shape = tuple(weights["W_enc"].shape)
        raise ConfigurationError(complaint("shape of W_enc", shape, "(d_in, dictionary size)"))
    d_in, size = weights["W_enc"].shape
    if not (d_in and size):
        raise ConfigurationError(complaint("shape of W_enc", (d_in, size), "1 or more of each"))
    shapes = {"W_enc": (d_in, size), "W_dec": (size, d_in), "b_dec": (d_in,), "pre_bias": (d_in,)}
    given = weights if pre_bias is None else {**weights, "pre_bias": pre_bias}
    for name, weight in given.items():
        shape = shapes.get(name, (size,))
        if tuple(weight.shape) != shape:
            raise ConfigurationError(
                complaint(f"shape of {name}", tuple(weight.shape), f"{shape}, as W_enc says")
            )
        if not bool(torch.isfinite(weight).all()):
            bad = int((~torch.isfinite(weight)).sum())
            raise ConfigurationError(
                complaint(
                    f"number of NaN or infinite values in {name}", bad, 0, "Train the SAE again."
                )
            )
        if float(weight.abs().max()) > _LARGEST:
            raise ConfigurationError(
                complaint(
                    f"largest value in {name}",
                    float(weight.abs().max()),
                    f"up to {_LARGEST:g}: codes would not be finite",
                    "Train the SAE again.",
                )
            )


def _check_k(k: object, size: int) -> None:
    if isinstance(k, bool) or not isinstance(k, int) or not 1 <= k <= size:
        raise ConfigurationError(complaint("k, the number of active features", k, f"1 to {size}"))
