"""Teaching a policy's vision what lies where, patch by patch; in training only."""

from __future__ import annotations

import torch
from lerobot.policies.smolvla.modeling_smolvla import SmolVLAPolicy
from torch import Tensor, nn
from torch.nn import functional as F


def look(policy: SmolVLAPolicy, pictures: Tensor) -> tuple[list[Tensor], Tensor]:
    """Return (tokens (B, T, d) per camera, patches (B, cameras, P, v)) of pictures in [-1, 1].

    The tokens are those of the policy's own embed_image; the patches are what its vision
    encoder ends with, before the connector folds them.
    """
    vlm = policy.model.vlm_with_expert.get_vlm_model()
    size, cameras = pictures.shape[:2]
    patches = vlm.vision_model(
        pixel_values=pictures.flatten(0, 1), patch_attention_mask=None
    ).last_hidden_state
    tokens = vlm.connector(patches).unflatten(0, (size, cameras))
    return list(tokens.unbind(1)), patches.unflatten(0, (size, cameras))


class ObjectMapHead(nn.Module):
    """Says for every kind of object in which patch its origin appears, and where in it."""

    def __init__(self, width: int, kinds: int) -> None:
        super().__init__()
        self.place = nn.Linear(width, kinds)
        self.offset = nn.Linear(width, 2 * kinds)
        self.absent = nn.Parameter(torch.zeros(kinds))

    def forward(self, patches: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (..., K, P + 1), the last of them "nowhere", and offsets (..., P, K, 2).

        `patches` is (..., P, v); offsets are in patches from the patch's middle.
        """
        places = self.place(patches).transpose(-1, -2)
        absent = self.absent[:, None].expand(*places.shape[:-1], 1)
        return torch.cat([places, absent], -1), self.offset(patches).unflatten(-1, (-1, 2))


def map_loss(head: ObjectMapHead, patches: Tensor, marks: Tensor) -> Tensor:
    """Return how badly the marks (B, cameras, K, 2) are found in the patches (B, cameras, P, v).

    Cross entropy over the patches and "nowhere", and the offset within the right patch; marks
    that are nan do not count.
    """
    logits, offsets = head(patches)
    side = round(patches.shape[-2] ** 0.5)
    known = ~marks.isnan().any(-1)
    if not known.any():
        return torch.zeros(())
    seen = known & (marks >= 0).all(-1) & (marks < 1).all(-1)
    scaled = torch.where(seen[..., None], marks, 0.0) * side
    cell = scaled.floor()
    index = (cell[..., 1] * side + cell[..., 0]).long()
    answer = torch.where(seen, index, side * side)
    found = F.cross_entropy(logits[known], answer[known])
    if not seen.any():
        return found
    flat = offsets.transpose(-2, -3)  # (B, cameras, K, P, 2)
    guess = flat.gather(-2, index[..., None, None].expand(*index.shape, 1, 2)).squeeze(-2)
    miss = F.smooth_l1_loss(guess[seen], (scaled - cell - 0.5)[seen], beta=0.1)
    return found + miss


def found_share(head: ObjectMapHead, patches: Tensor, marks: Tensor) -> Tensor:
    """Return the share of the objects in sight whose patch is named."""
    side = round(patches.shape[-2] ** 0.5)
    seen = (marks >= 0).all(-1) & (marks < 1).all(-1)
    cell = (torch.where(seen[..., None], marks, 0.0) * side).floor()
    named = head(patches)[0].argmax(-1)
    return (named == (cell[..., 1] * side + cell[..., 0]).long())[seen].float().mean()
