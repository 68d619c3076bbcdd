"""Which frames of a TrainingSet go with which of its pictures."""

from __future__ import annotations

import torch
from torch import Tensor

from vla_sae_ros.study.policy_training.training_set import TrainingSet


def frames_of_pictures(data: TrainingSet) -> tuple[Tensor, Tensor]:
    """Return (first frame, number of frames) of every picture."""
    count = torch.bincount(data.picture, minlength=len(data.pictures))
    return count.cumsum(0) - count, count


def all_frames(first: Tensor, count: Tensor, pictures: Tensor) -> tuple[Tensor, Tensor]:
    """Return the rows of all frames of the pictures, and which picture each one shows."""
    shown = torch.repeat_interleave(torch.arange(len(pictures)), count[pictures])
    starts = count[pictures].cumsum(0) - count[pictures]
    return first[pictures][shown] + torch.arange(len(shown)) - starts[shown], shown


def some_frames(first: Tensor, count: Tensor, most: int) -> tuple[Tensor, Tensor]:
    """Return rows and pictures: of every picture its first frame, and others drawn at random."""
    rows, shown = [first], [torch.arange(len(first))]
    for _ in range(most - 1):
        more = torch.nonzero(count > 1).squeeze(1)
        drawn = 1 + (torch.rand(len(more)) * (count[more] - 1)).long()
        rows.append(first[more] + drawn)
        shown.append(more)
    return torch.cat(rows), torch.cat(shown)
