"""The difference that edits make to a pooled SAE's stream, straight from the list of its code.

Looking the edited features up in the list, changing them and multiplying by their rows takes nine
small tensor operations; on a small policy those cost more than the arithmetic. Here each listed
feature brings its own row, which is zero where it is not edited.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from vla_sae_ros.sae import ActiveCode


@dataclass(frozen=True)
class PooledChange:
    """dz @ rows = offset @ rows + sum_k z_k by_slot[slot_k], over the k listed features.

    Attributes:
        features: (n,) int64, the edited ones, each once.
        constant: (1, 1, d) float32, offset @ rows.
        slot: (F,) int64, an edited feature's place in `by_slot`; the last place for all others.
        by_slot: (n + 1, d) float32, gain times row of each edited feature; the last one is zero.
    """

    features: Tensor
    constant: Tensor
    slot: Tensor
    by_slot: Tensor

    def __call__(self, code: ActiveCode) -> Tensor:
        """Return dz @ rows (B, 1, d) of a code (B, F)."""
        if code.dense is not None:  # the list may leave out an active feature
            z = code.dense.index_select(-1, self.features)
            return self.constant + (z @ self.by_slot[:-1]).unsqueeze(1)
        places = self.slot.index_select(0, code.index.view(-1))
        rows = self.by_slot.index_select(0, places).view(*code.index.shape, -1)
        return torch.baddbmm(self.constant, code.value.unsqueeze(1), rows)


def pooled_change(
    features: Tensor, offset: Tensor, gain: Tensor, rows: Tensor, size: int
) -> PooledChange:
    """Return the change by edits of `features` (n,), one of which may be named more than once.

    Args:
        features: (n,) int64.
        offset, gain: (n,) float32 with z' - z = offset + gain z.
        rows: (n, d) float32, theirs.
        size: F.
    """
    edited, place = features.unique(return_inverse=True)
    slot = torch.full((size,), len(edited), device=features.device)
    slot[edited] = torch.arange(len(edited), device=features.device)
    by_slot = rows.new_zeros(len(edited) + 1, rows.shape[1])
    by_slot.index_add_(0, place, gain[:, None] * rows)
    return PooledChange(edited, (offset @ rows)[None, None], slot, by_slot)
