"""Adam (Kingma and Ba 2015) for gradients that are computed by hand.

torch.optim would do as well, but its first use imports the torch compiler: seven seconds of
processor time, longer than many a small autoencoder trains.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

_CACHED = 2**17  # numbers


class Adam:
    """Adam's moments of some weights, which `step` changes in place. steps: steps taken."""

    def __init__(
        self,
        weights: Sequence[Tensor],
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ) -> None:
        self._weights = list(weights)
        self._betas = betas
        self._eps = eps
        self._first = [torch.zeros_like(weight) for weight in weights]
        self._second = [torch.zeros_like(weight) for weight in weights]
        self.steps = 0

    @property
    def moments(self) -> dict[str, Tensor]:
        """Return both moments of every weight by name, as `step` changes them."""
        first = {f"first.{n}": moment for n, moment in enumerate(self._first)}
        return first | {f"second.{n}": moment for n, moment in enumerate(self._second)}

    def step(self, gradients: Sequence[Tensor], rate: float) -> None:
        """Take one step along the gradients, in the order of the weights."""
        self.steps += 1
        first_beta, second_beta = self._betas
        rate /= 1 - first_beta**self.steps
        correction = math.sqrt(1 - second_beta**self.steps)
        moments = zip(self._weights, gradients, self._first, self._second, strict=True)
        for pieces in (zip(*map(_pieces, of_one), strict=True) for of_one in moments):
            for weight, gradient, first, second in pieces:
                first.lerp_(gradient, 1 - first_beta)
                second.mul_(second_beta).addcmul_(gradient, gradient, value=1 - second_beta)
                root = second.sqrt().div_(correction).add_(self._eps)
                weight.addcdiv_(first, root, value=-rate)


def _pieces(tensor: Tensor) -> Sequence[Tensor]:
    """Return views that a CPU's cache holds from one operation to the next; on a GPU the tensor."""
    flat = tensor.view(-1)
    return flat.split(_CACHED) if flat.device.type == "cpu" else [flat]


def clip_by_norm(gradients: Sequence[Tensor], largest: float) -> None:
    """Scale all gradients in place so that their joint norm is at most `largest`."""
    norm = torch.stack([gradient.norm() for gradient in gradients]).norm()
    factor = (largest / norm.clamp(min=1e-30)).clamp(max=1.0)
    for gradient in gradients:
        gradient.mul_(factor)
