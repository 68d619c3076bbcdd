"""Loss and gradients of one training step of a sparse code + AuxK, written out.

Only the active features take part in a sample, so the decoder and both weight gradients read k rows
per sample instead of making dense (batch, F) products; the dense encoder product is the one that
cannot be left out. A test compares every gradient with autograd's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as functional
from torch import Tensor

_TINY = 1e-30

Total = Callable[[Tensor], Tensor]
"""Sums a tensor over all processes that share a batch, in place, and returns it."""


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
    """Result of one step over the whole batch, of which a process may have seen a part only.

    fvu and auxiliary: 0-d. gradients: in the order of the weights. fired: (F,) times each feature
    fired.
    """

    fvu: Tensor
    auxiliary: Tensor
    gradients: list[Tensor]
    fired: Tensor


def only_here(tensor: Tensor) -> Tensor:
    """Return the tensor: the total of a batch that one process has whole."""
    return tensor


def batch_variance(x: Tensor, total: Total) -> Tensor:
    """Return sum (x - mean)^2 over a batch of which every process has x (B, d), as a 0-d tensor."""
    sums = total(torch.cat([x.sum(dim=0), x.new_tensor([len(x)])]))
    return total((x - sums[:-1] / sums[-1]).square_().sum())


@dataclass(frozen=True)
class Selected:
    """The active features of a batch of B samples as N pairs, in the order of the samples.

    value: (N,) > 0, or 0 where nothing is active in that place. feature and sample: (N,) int64.
    first: (B,) int64, where each sample's pairs begin.
    """

    value: Tensor
    feature: Tensor
    sample: Tensor
    first: Tensor


Select = Callable[[Tensor], Selected]
"""Picks the active features from the pre-activations (B, F)."""


def top_k(k: int) -> Select:
    """Keep the k largest pre-activations of each sample (Gao et al. 2024)."""

    def select(hidden: Tensor) -> Selected:
        value, feature = hidden.topk(k, dim=-1, sorted=False)
        first = torch.arange(0, feature.numel(), k, device=hidden.device)
        sample = torch.arange(len(hidden), device=hidden.device).repeat_interleave(k)
        return Selected(value.relu_().reshape(-1), feature.reshape(-1), sample, first)

    return select


def batch_top_k(k: int) -> Select:
    """Keep the k B largest pre-activations of the whole batch (Bussmann et al. 2024)."""

    def select(hidden: Tensor) -> Selected:
        batch, size = hidden.shape
        kept = hidden.reshape(-1).topk(k * batch, sorted=False).indices.sort().values
        sample = torch.div(kept, size, rounding_mode="floor")
        count = torch.bincount(sample, minlength=batch)
        value = hidden.reshape(-1)[kept].relu_()
        return Selected(value, kept - sample * size, sample, count.cumsum(0) - count)

    return select


def loss_and_gradients(
    x: Tensor,
    weights: Weights,
    select: Select,
    dead: Tensor | None = None,
    aux: AuxK | None = None,
    total: Total = only_here,
) -> Step:
    """Return the gradients of FVU + AuxK for the batch x (B, d); `dead` is (F,) bool or None.

    FVU = sum (x - x_hat)^2 / sum (x - batch mean)^2. AuxK after Gao et al. 2024, section A.2: its
    squared error over that of predicting nothing, with the error to be predicted held fixed.
    With `total`, x is this process' part of the batch and the result is the whole batch's.
    """
    centred = x - weights.bias
    hidden = centred @ weights.encoder.T
    code = select(hidden)
    with torch.enable_grad():
        leaf = code.value.detach().requires_grad_()
        decoded = functional.embedding_bag(
            code.feature, weights.decoder, code.first, mode="sum", per_sample_weights=leaf
        )
    error = decoded.detach() + weights.bias - x
    squared_error, variance = total(error.square().sum()), batch_variance(x, total)
    error_gradient = error * (2.0 / variance)
    (code_gradient,) = torch.autograd.grad(decoded, leaf, error_gradient)
    is_active = code.value > 0
    code_gradient.mul_(is_active)

    by_feature = _ByFeature(code, weights.encoder.shape[0])
    summed = by_feature.sum(code_gradient)
    gradients = [
        by_feature.weighted_rows(centred, code_gradient),
        by_feature.weighted_rows(error_gradient, code.value),
        error_gradient.sum(dim=0) - summed @ weights.encoder,
    ]
    fired = by_feature.sum(is_active.to(x.dtype))
    auxiliary = x.new_zeros(())
    if aux is not None and dead is not None and bool(dead.any()):
        auxiliary = _add_auxiliary(
            gradients, centred, hidden, error, weights, dead, aux, squared_error
        )
    return Step(
        squared_error / variance,
        total(auxiliary),
        [total(gradient) for gradient in gradients],
        total(fired),
    )


class _ByFeature:
    """The sparse code of a batch, seen from the features: which samples each one is active in."""

    def __init__(self, code: Selected, size: int) -> None:
        self._size = size
        self._feature = code.feature
        self._order = torch.argsort(code.feature, stable=True)
        self._sample = code.sample[self._order]
        count = torch.bincount(code.feature, minlength=size)
        self._start = count.cumsum(0) - count

    def weighted_rows(self, rows: Tensor, weight: Tensor) -> Tensor:
        """Return (F, d): for each feature the sum of weight (N,) times its samples' rows (B, d)."""
        return functional.embedding_bag(
            self._sample,
            rows,
            self._start,
            mode="sum",
            per_sample_weights=weight[self._order],
        )

    def sum(self, weight: Tensor) -> Tensor:
        """Return (F,): for each feature the sum of weight (N,)."""
        return weight.new_zeros(self._size).index_add_(0, self._feature, weight)


def _add_auxiliary(
    gradients: list[Tensor],
    centred: Tensor,
    hidden: Tensor,
    error: Tensor,
    weights: Weights,
    dead: Tensor,
    aux: AuxK,
    squared_error: Tensor,
) -> Tensor:
    """Add AuxK's gradients to `gradients` and return this process' part of its loss."""
    members = dead.nonzero().squeeze(1)
    code = hidden[:, members].relu_()
    if members.numel() > aux.k:
        top, where = code.topk(aux.k, dim=-1, sorted=False)
        code = torch.zeros_like(code).scatter_(1, where, top)
    decoder = weights.decoder[members]
    # `error` is x_hat - x: the missing part is its negative.
    remaining = torch.addmm(error, code, decoder)
    share = min(1.0, members.numel() / aux.k)
    factor = aux.coefficient * share / squared_error.clamp(min=_TINY)
    remaining_gradient = remaining * (2.0 * factor)
    code_gradient = (remaining_gradient @ decoder.T).mul_(code > 0)
    gradients[0].index_add_(0, members, code_gradient.T @ centred)
    gradients[1].index_add_(0, members, code.T @ remaining_gradient)
    gradients[2].sub_(code_gradient.sum(dim=0) @ weights.encoder[members])
    return factor * remaining.square_().sum()
