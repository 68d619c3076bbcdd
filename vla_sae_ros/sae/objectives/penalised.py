"""Sparsity by a penalty: ReLU with L1 and JumpReLU with L0, their gradients by autograd.

Every feature takes part in a sample's gradients, so that there is nothing to leave out. The loss is
FVU + coefficient * penalty; FVU as in `gradients`, so that the coefficient does not depend on the
size or the number of the samples.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor

from vla_sae_ros.sae.kinds.jumprelu import JumpReLUSAE
from vla_sae_ros.sae.kinds.relu import ReLUSAE
from vla_sae_ros.sae.kinds.sparse_autoencoder import SparseAutoencoder
from vla_sae_ros.sae.objectives.gradients import Step, Total, Weights, batch_variance
from vla_sae_ros.sae.shapes import Batch, FeatureMask, PerDimension

INITIAL_THRESHOLD = 0.1
BANDWIDTH = 0.1
"""Width of the window around the threshold in which its gradient is estimated, in codes of
samples of unit variance."""


class PenalisedObjective(ABC):
    """An autoencoder with an encoder bias and a penalty on its code."""

    def __init__(self, weights: Weights, coefficient: float) -> None:
        self._weights = weights
        self._encoder_bias = torch.zeros_like(weights.decoder[:, 0])
        self._coefficient = coefficient

    @property
    def weights(self) -> list[Tensor]:
        return [*self._weights.as_list(), self._encoder_bias]

    @property
    def decoder(self) -> Tensor:
        return self._weights.decoder

    @property
    def memory(self) -> dict[str, Tensor]:
        return {}

    def start_from(self, sae: SparseAutoencoder, centre: PerDimension, scale: float) -> None:
        self._weights.take(sae, centre, scale)
        self._encoder_bias.copy_(sae.b_enc / scale)

    @abstractmethod
    def autoencoder(
        self, centre: PerDimension, scale: float, normalization: str
    ) -> SparseAutoencoder:
        """See `Objective`."""

    @abstractmethod
    def code_and_penalty(self, hidden: Tensor, leaves: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Return the code z (B, F) >= 0 of the pre-activations and its penalty summed over B."""

    def step(self, x: Batch, dead: FeatureMask, total: Total) -> Step:
        variance, batch = batch_variance(x, total), float(total(x.new_tensor(float(len(x)))))
        with torch.enable_grad():
            leaves = [weight.detach().requires_grad_() for weight in self.weights]
            encoder, decoder, bias, encoder_bias = leaves[:4]
            hidden = (x - bias) @ encoder.T + encoder_bias
            z, penalty = self.code_and_penalty(hidden, leaves)
            fvu = (z @ decoder + bias - x).square().sum() / variance
            penalty = penalty * (self._coefficient / batch)
            gradients = torch.autograd.grad(fvu + penalty, leaves)
        return Step(
            total(fvu.detach()),
            total(penalty.detach()),
            [total(gradient) for gradient in gradients],
            total((z > 0).sum(dim=0).to(x.dtype)),
        )

    def _common(self, centre: PerDimension, scale: float) -> dict[str, Any]:
        return {
            "W_enc": self._weights.encoder.T,
            "b_enc": scale * self._encoder_bias,
            "W_dec": self._weights.decoder,
            "b_dec": centre + scale * self._weights.bias,
        }


class ReLUObjective(PenalisedObjective):
    """penalty = sum_j z_j / sqrt(d), decoder rows being unit (Bricken et al. 2023)."""

    def code_and_penalty(self, hidden: Tensor, leaves: list[Tensor]) -> tuple[Tensor, Tensor]:
        z = hidden.relu()
        return z, z.sum() / self._weights.bias.numel() ** 0.5

    def autoencoder(self, centre: PerDimension, scale: float, normalization: str) -> ReLUSAE:
        return ReLUSAE(**self._common(centre, scale), normalization=normalization)


class JumpReLUObjective(PenalisedObjective):
    """penalty = number of active features (Rajamanoharan et al. 2024, arXiv 2407.14435).

    The threshold of each feature is trained as its logarithm, with the straight-through estimators
    of their section 3 (a rectangle of width BANDWIDTH as the kernel).
    """

    def __init__(self, weights: Weights, coefficient: float) -> None:
        super().__init__(weights, coefficient)
        self._log_threshold = torch.full_like(self._encoder_bias, INITIAL_THRESHOLD).log_()

    @property
    def weights(self) -> list[Tensor]:
        return [*super().weights, self._log_threshold]

    def code_and_penalty(self, hidden: Tensor, leaves: list[Tensor]) -> tuple[Tensor, Tensor]:
        threshold = leaves[-1].exp()
        return _JumpReLU.apply(hidden, threshold), _Active.apply(hidden, threshold).sum()

    def start_from(self, sae: SparseAutoencoder, centre: PerDimension, scale: float) -> None:
        super().start_from(sae, centre, scale)
        assert isinstance(sae, JumpReLUSAE)
        self._log_threshold.copy_((sae.threshold / scale).log())

    def autoencoder(self, centre: PerDimension, scale: float, normalization: str) -> JumpReLUSAE:
        return JumpReLUSAE(
            **self._common(centre, scale),
            threshold=scale * self._log_threshold.exp(),
            normalization=normalization,
        )


def _in_window(hidden: Tensor, threshold: Tensor) -> Tensor:
    return (hidden - threshold).abs() < BANDWIDTH / 2


class _JumpReLU(torch.autograd.Function):
    """hidden where it is above the threshold (F,), 0 elsewhere."""

    @staticmethod
    def forward(ctx, hidden: Tensor, threshold: Tensor) -> Tensor:  # type: ignore[no-untyped-def]
        ctx.save_for_backward(hidden, threshold)
        return hidden * (hidden > threshold)

    @staticmethod
    def backward(ctx, upstream: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[no-untyped-def]
        hidden, threshold = ctx.saved_tensors
        window = _in_window(hidden, threshold)
        by_threshold = -(threshold / BANDWIDTH) * (window * upstream).sum(dim=0)
        return upstream * (hidden > threshold), by_threshold


class _Active(torch.autograd.Function):
    """1 where hidden is above the threshold (F,), 0 elsewhere."""

    @staticmethod
    def forward(ctx, hidden: Tensor, threshold: Tensor) -> Tensor:  # type: ignore[no-untyped-def]
        ctx.save_for_backward(hidden, threshold)
        return (hidden > threshold).to(hidden.dtype)

    @staticmethod
    def backward(ctx, upstream: Tensor) -> tuple[None, Tensor]:  # type: ignore[no-untyped-def]
        hidden, threshold = ctx.saved_tensors
        return None, -(_in_window(hidden, threshold) * upstream).sum(dim=0) / BANDWIDTH
