"""Several taps on one layer, as an SAE's and that of directions beside it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from vla_sae_ros.policy.taps.pooling import float32
from vla_sae_ros.policy.taps.reading import TINY
from vla_sae_ros.policy.taps.tap import Tap


def joint_change(taps: Sequence[Tap], x: Tensor) -> Tensor | None:
    """See the residual stream x (B, T, d) with every tap; return what to add to it, or None.

    Each tap reads the stream as it came, so that none reads another's edits, and their sum is held
    to the cap again.
    """
    found = [(tap, delta) for tap in taps if (delta := tap(x)) is not None]
    if len(found) < 2:
        return found[0][1] if found else None
    total = torch.stack([float32(delta).expand(x.shape) for _, delta in found]).sum(0)
    norm = torch.linalg.vector_norm(float32(x), dim=-1, keepdim=True)
    change_norm = torch.linalg.vector_norm(total, dim=-1, keepdim=True)
    for tap, _ in found:
        tap.count_jointly(change_norm, norm)
    # fmin passes by the NaN of a token of norm 0 under no cap.
    most = norm * found[0][0].cap / change_norm.clamp_min(TINY)
    return (total * torch.fmin(most, torch.ones_like(most))).to(x.dtype)
