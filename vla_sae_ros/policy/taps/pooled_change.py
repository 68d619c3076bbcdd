"""The difference that edits make to a pooled SAE's stream, in as few tensor operations as can be.

Looking the edited features up in the list of active ones, changing them and multiplying by their
rows takes nine small tensor operations; on a small policy those cost more than the arithmetic.
Everything here is a vector, which needs no views, and each listed feature brings its own
row, which is zero where it is not edited.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vla_sae_ros.policy.taps.shapes import Amounts, Rows
from vla_sae_ros.sae import ActiveCode, SparseAutoencoder
from vla_sae_ros.sae.shapes import PerDimension

PooledChange = Callable[[Tensor], tuple[Tensor, ActiveCode | None]]
"""Gets the normalised pooled vector x_n (d,); returns dz @ rows (d,), and the code of all features
where it was needed."""


@dataclass(frozen=True)
class ConstantChange:
    """dz @ rows = constant, (d,) float32: every edit is an add, so no code has to be known."""

    constant: PerDimension

    def __call__(self, x_n: PerDimension) -> tuple[PerDimension, ActiveCode | None]:
        return self.constant, None


@dataclass(frozen=True)
class AloneChange:
    """dz @ rows = constant + z @ rows, where the edited features' z can be had without the others.

    Attributes:
        constant: (d,) float32.
        edited: an SAE of the n edited features.
        columns: (d, n) float32, gain times decoder row.
    """

    constant: PerDimension
    edited: SparseAutoencoder
    columns: Tensor

    def __call__(self, x_n: PerDimension) -> tuple[PerDimension, ActiveCode | None]:
        z = self.edited.activate(self.edited.hidden(x_n))
        return torch.addmv(self.constant, self.columns, z), None


@dataclass(frozen=True)
class ListedChange:
    """dz @ rows = constant + sum_k z_k by_slot[slot_k], over the k listed features.

    Attributes:
        constant: (d,) float32.
        sae: whose lists say everything about a code.
        slot: (F,) int64, an edited feature's place in `by_slot`; the last place for all others.
        by_slot: (n + 1, d) float32, gain times row of each edited feature; the last one is zero.
    """

    constant: PerDimension
    sae: SparseAutoencoder
    slot: Tensor
    by_slot: Tensor

    def __call__(self, x_n: PerDimension) -> tuple[PerDimension, ActiveCode | None]:
        code = self.sae.encode_normalized(x_n)
        rows = self.by_slot.index_select(0, self.slot.take(code.index))
        return torch.addmv(self.constant, rows.t(), code.value), code


def pooled_change(
    sae: SparseAutoencoder,
    features: Sequence[int],
    offset: Amounts,
    gain: Amounts,
    rows: Rows,
    needs_code: bool,
) -> PooledChange:
    """Return the change by edits of n `features`, one of which may be named more than once.

    While a value ramps this is made anew in every inference: it asks no tensor for a number, which
    would make a GPU wait.

    Args:
        sae: whose features they are.
        features: n, the edits'.
        offset, gain: (n,) float32 with z' - z = offset + gain z.
        rows: (n, d) float32, theirs.
        needs_code: some gain is not 0.
    """
    constant = offset @ rows
    if not needs_code:
        return ConstantChange(constant)
    distinct = sorted(set(features))
    edited = torch.tensor(distinct, device=rows.device)
    place = torch.tensor([distinct.index(feature) for feature in features], device=rows.device)
    by_slot = rows.new_zeros(len(distinct) + 1, rows.shape[1])
    by_slot.index_add_(0, place, gain[:, None] * rows)
    alone = sae.of_features(edited)
    if alone is not None:
        return AloneChange(constant, alone, by_slot[:-1].t())
    slot = torch.full((sae.dictionary_size,), len(distinct), device=rows.device)
    slot[edited] = torch.arange(len(distinct), device=rows.device)
    return ListedChange(constant, sae, slot, by_slot)
