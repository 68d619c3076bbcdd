"""The written-out gradients against autograd on a dense formulation."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from vla_sae_ros.sae.objectives.gradients import (
    AuxK,
    Select,
    Weights,
    batch_top_k,
    loss_and_gradients,
    top_k,
)

B, D, F, K = 24, 6, 20, 3


def make_weights(seed: int) -> Weights:
    generator = torch.Generator().manual_seed(seed)
    return Weights(
        torch.randn(F, D, generator=generator, dtype=torch.float64),
        torch.randn(F, D, generator=generator, dtype=torch.float64),
        torch.randn(D, generator=generator, dtype=torch.float64),
    )


def kept_by_sample(hidden: Tensor) -> Tensor:
    return torch.zeros_like(hidden).scatter(1, hidden.topk(K).indices, 1.0)


def kept_by_batch(hidden: Tensor) -> Tensor:
    smallest = hidden.flatten().sort(descending=True).values[K * len(hidden) - 1]
    return (hidden >= smallest).to(hidden.dtype)


def dense_loss(
    x: Tensor, weights: Weights, dead: Tensor | None, aux: AuxK, keep: Callable[[Tensor], Tensor]
) -> tuple[Tensor, Tensor]:
    hidden = (x - weights.bias) @ weights.encoder.T
    kept = keep(hidden)
    x_hat = (hidden.relu() * kept) @ weights.decoder + weights.bias
    fvu = (x - x_hat).square().sum() / (x - x.mean(0)).square().sum()
    if dead is None or not bool(dead.any()):
        return fvu, torch.zeros((), dtype=x.dtype)
    missing = (x - x_hat).detach()
    alone = hidden.relu() * dead
    count = int(dead.sum())
    chosen = alone.masked_fill(~dead, -1.0).topk(min(aux.k, count)).indices
    alone = alone * torch.zeros_like(alone).scatter(1, chosen, 1.0)
    left = (missing - alone @ weights.decoder).square().sum() / missing.square().sum()
    return fvu, aux.coefficient * min(1.0, count / aux.k) * left


@pytest.mark.parametrize("dead_count", [0, 1, 4, 9])
@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize(
    ("select", "keep"), [(top_k(K), kept_by_sample), (batch_top_k(K), kept_by_batch)]
)
def test_gradients_are_those_of_autograd(
    select: Select, keep: Callable[[Tensor], Tensor], seed: int, dead_count: int
) -> None:
    weights, aux = make_weights(seed), AuxK(4, 0.3)
    x = torch.randn(B, D, dtype=torch.float64, generator=torch.Generator().manual_seed(seed + 9))
    dead = torch.zeros(F, dtype=torch.bool)
    dead[torch.randperm(F)[:dead_count]] = True
    with torch.no_grad():
        step = loss_and_gradients(x, weights, select, dead, aux)
    leaves = [weight.clone().requires_grad_() for weight in weights.as_list()]
    fvu, auxiliary = dense_loss(x, Weights(*leaves), dead, aux, keep)
    (fvu + auxiliary).backward()
    torch.testing.assert_close(step.fvu, fvu.detach())
    torch.testing.assert_close(step.auxiliary, auxiliary.detach())
    for got, leaf in zip(step.gradients, leaves, strict=True):
        torch.testing.assert_close(got, leaf.grad)


def test_fired_counts_the_samples_in_which_a_feature_is_above_zero() -> None:
    weights = make_weights(3)
    x = torch.randn(B, D, dtype=torch.float64)
    hidden = (x - weights.bias) @ weights.encoder.T
    kept = torch.zeros_like(hidden).scatter(1, hidden.topk(K).indices, 1.0)
    with torch.no_grad():
        fired = loss_and_gradients(x, weights, top_k(K)).fired
    torch.testing.assert_close(fired, ((hidden * kept) > 0).sum(0).to(torch.float64))
