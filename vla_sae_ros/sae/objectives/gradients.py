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

from vla_sae_ros.sae.kinds.sparse_autoencoder import SparseAutoencoder
from vla_sae_ros.sae.shapes import (
    Batch,
    FeatureCounts,
    FeatureMask,
    FeatureRows,
    PerDimension,
    Scalar,
)

_TINY = 1e-30
_BAND = 64  # columns
_CACHED = 2**17  # numbers
_LEAST_VARIANCE = 1e-6  # per number; samples were scaled to a variance of 1
_MODE_SUM = 0  # of embedding_bag

Total = Callable[[Tensor], Tensor]
"""Sums a tensor over all processes that share a batch, in place, and returns it."""


@dataclass(frozen=True)
class Weights:
    """What is trained: encoder and decoder rows (F, d), and the input and output bias (d,)."""

    encoder: FeatureRows
    decoder: FeatureRows
    bias: PerDimension

    def as_list(self) -> list[Tensor]:
        """Return the tensors in the order of `Step.gradients`."""
        return [self.encoder, self.decoder, self.bias]

    def take(self, sae: SparseAutoencoder, centre: PerDimension, scale: float) -> None:
        """Copy the weights of an autoencoder of x_n for samples (x_n - centre) / scale."""
        self.encoder.copy_(sae.W_enc.T)
        self.decoder.copy_(sae.W_dec)
        self.bias.copy_((sae.b_dec.to(centre.device) - centre) / scale)


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

    fvu: Scalar
    auxiliary: Scalar
    gradients: list[Tensor]
    fired: FeatureCounts


def only_here(tensor: Tensor) -> Tensor:
    """Return the tensor: the total of a batch that one process has whole."""
    return tensor


def batch_variance(x: Batch, total: Total) -> Scalar:
    """Return sum (x - mean)^2 over a batch of which every process has x (B, d), as a 0-d tensor.

    At least a millionth of what it is on average: a batch of equal samples must not make NaN.
    """
    sums = total(torch.cat([x.sum(dim=0), x.new_tensor([len(x)])]))
    mean = sums[:-1] / sums[-1]
    parts = [(rows - mean).square_().sum() for rows in x.split(_rows_at_once(x))]
    floor = _LEAST_VARIANCE * sums[-1] * x.shape[1]
    return torch.maximum(total(torch.stack(parts).sum()), floor)


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
    x: Batch,
    weights: Weights,
    select: Select,
    dead: FeatureMask | None = None,
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
    decoded = _weighted_sums(weights.decoder, code.feature, code.first, code.value)
    error = decoded.sub_(centred)  # x_hat - x
    squared_error = total(torch.linalg.vector_norm(error).square())
    variance = batch_variance(x, total)
    by_error = 2.0 / variance
    is_active = code.value > 0
    code_gradient = _products(error, weights.decoder, code).mul_(is_active * by_error)

    by_feature = _ByFeature(code, weights.encoder.shape[0])
    summed = by_feature.sum(code_gradient)
    gradients = [
        by_feature.weighted_rows(centred, code_gradient),
        by_feature.weighted_rows(error, code.value * by_error),
        error.sum(dim=0).mul_(by_error) - summed @ weights.encoder,
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
        self._order = torch.argsort(code.feature.int(), stable=True)
        self._sample = code.sample[self._order]
        count = torch.bincount(code.feature, minlength=size)
        self._first = count.cumsum(0) - count

    def weighted_rows(self, rows: Tensor, weight: Tensor) -> Tensor:
        """Return (F, d): for each feature the sum of weight (N,) times its samples' rows (B, d)."""
        return _weighted_sums(rows, self._sample, self._first, weight[self._order])

    def sum(self, weight: Tensor) -> Tensor:
        """Return (F,): for each feature the sum of weight (N,)."""
        return weight.new_zeros(self._size).index_add_(0, self._feature, weight)


def _weighted_sums(rows: Tensor, index: Tensor, first: Tensor, weight: Tensor) -> Tensor:
    """Return (M, d): the sums of weight (N,) times rows[index] (N, d) over M runs of the N.

    first: (M,), where each run begins. On a CPU a band of columns at a time, whose rows stay in
    its cache while they are read again and again.
    """
    index, first = index.int(), first.int()  # half the bytes to read
    width = rows.shape[1]
    band = _BAND if rows.device.type == "cpu" else width
    sums = rows.new_empty(len(first), width)
    for start in range(0, width, band):
        columns = slice(start, start + band)
        sums[:, columns] = functional.embedding_bag(
            index, rows[:, columns].contiguous(), first, mode="sum", per_sample_weights=weight
        )
    return sums


def _products(error: Tensor, decoder: Tensor, code: Selected) -> Tensor:
    """Return (N,): of each active feature its decoder row's product with the sample's error.

    The function that autograd calls behind `embedding_bag`: asking autograd costs a forward pass.
    """
    return torch.ops.aten._embedding_bag_per_sample_weights_backward(
        error, decoder, code.feature, code.first, code.sample, _MODE_SUM
    )


def _rows_at_once(x: Tensor) -> int:
    """Return how many rows of x (B, d) stay in a CPU's cache; all of them on another device."""
    return max(1, _CACHED // x.shape[1]) if x.device.type == "cpu" else len(x)


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
