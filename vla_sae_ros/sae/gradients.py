"""Loss and gradients of one TopK + AuxK training step, written out.

Only k of F features take part in a sample, so the decoder and both weight gradients read k rows
per sample instead of making dense (batch, F) products; the dense encoder product is the one that
cannot be left out. A test compares every gradient with autograd's.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as functional
from torch import Tensor

_TINY = 1e-30


@dataclass(frozen=True)
class Weights:
    """What is trained: encoder and decoder rows (F, d), and the input and output bias (d,)."""

    encoder: Tensor
    decoder: Tensor
    bias: Tensor

    def as_list(self) -> list[Tensor]:
        """Return the tensors in the order of `Step.gradients`."""
        return [self.encoder, self.decoder, self.bias]


@dataclass(frozen=True)
class AuxK:
    """The auxiliary loss: the `k` most active dead latents predict what the live ones missed."""

    k: int
    coefficient: float


@dataclass(frozen=True)
class Step:
    """Result of one step: FVU of the batch, auxiliary loss, gradients, times each feature fired."""

    fvu: Tensor
    auxiliary: Tensor
    gradients: list[Tensor]
    fired: Tensor


def loss_and_gradients(
    x: Tensor, weights: Weights, k: int, dead: Tensor | None = None, aux: AuxK | None = None
) -> Step:
    """Return the gradients of FVU + AuxK for the batch x (B, d); `dead` is (F,) bool or None.

    FVU = sum (x - x_hat)^2 / sum (x - batch mean)^2. AuxK after Gao et al. 2024, section A.2: its
    squared error over that of predicting nothing, with the error to be predicted held fixed.
    """
    centred = x - weights.bias
    hidden = centred @ weights.encoder.T
    value, index = hidden.topk(k, dim=-1, sorted=False)
    value.relu_()
    variance = (x - x.mean(dim=0)).square_().sum()
    with torch.enable_grad():
        leaf = value.requires_grad_()
        decoded = functional.embedding_bag(
            index, weights.decoder, mode="sum", per_sample_weights=leaf
        )
    error = decoded.detach() + weights.bias - x
    fvu = error.square().sum() / variance
    error_gradient = error * (2.0 / variance)
    (code_gradient,) = torch.autograd.grad(decoded, leaf, error_gradient)
    value = value.detach()
    code_gradient.mul_(value > 0)

    by_feature = _ByFeature(index, weights.encoder.shape[0])
    summed = by_feature.sum(code_gradient)
    gradients = [
        by_feature.weighted_rows(centred, code_gradient),
        by_feature.weighted_rows(error_gradient, value),
        error_gradient.sum(dim=0) - summed @ weights.encoder,
    ]
    fired = by_feature.sum((value > 0).to(x.dtype))
    auxiliary = x.new_zeros(())
    if aux is not None and dead is not None and bool(dead.any()):
        auxiliary = _add_auxiliary(gradients, centred, hidden, error, weights, dead, aux)
    return Step(fvu, auxiliary, gradients, fired)


class _ByFeature:
    """The sparse code of a batch, seen from the features: which samples each one is active in."""

    def __init__(self, index: Tensor, size: int) -> None:
        flat = index.reshape(-1)
        self._size = size
        self._flat = flat
        self._order = torch.argsort(flat, stable=True)
        self._sample = torch.div(self._order, index.shape[-1], rounding_mode="floor")
        count = torch.bincount(flat, minlength=size)
        self._start = count.cumsum(0) - count

    def weighted_rows(self, rows: Tensor, weight: Tensor) -> Tensor:
        """Return (F, d): for each feature the sum of weight (B, k) times rows (B, d)."""
        return functional.embedding_bag(
            self._sample,
            rows,
            self._start,
            mode="sum",
            per_sample_weights=weight.reshape(-1)[self._order],
        )

    def sum(self, weight: Tensor) -> Tensor:
        """Return (F,): for each feature the sum of weight (B, k)."""
        total = weight.new_zeros(self._size)
        return total.index_add_(0, self._flat, weight.reshape(-1))


def _add_auxiliary(
    gradients: list[Tensor],
    centred: Tensor,
    hidden: Tensor,
    error: Tensor,
    weights: Weights,
    dead: Tensor,
    aux: AuxK,
) -> Tensor:
    members = dead.nonzero().squeeze(1)
    code = hidden[:, members].relu_()
    if members.numel() > aux.k:
        top, where = code.topk(aux.k, dim=-1, sorted=False)
        code = torch.zeros_like(code).scatter_(1, where, top)
    decoder = weights.decoder[members]
    # `error` is x_hat - x: the missing part is its negative.
    remaining = torch.addmm(error, code, decoder)
    factor = (
        aux.coefficient * min(1.0, members.numel() / aux.k) / error.square().sum().clamp(min=_TINY)
    )
    remaining_gradient = remaining * (2.0 * factor)
    code_gradient = (remaining_gradient @ decoder.T).mul_(code > 0)
    gradients[0].index_add_(0, members, code_gradient.T @ centred)
    gradients[1].index_add_(0, members, code.T @ remaining_gradient)
    gradients[2].sub_(code_gradient.sum(dim=0) @ weights.encoder[members])
    return factor * remaining.square_().sum()
