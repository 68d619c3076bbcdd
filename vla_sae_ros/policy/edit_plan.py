"""Edits of one site turned into tensors once, so that an inference only multiplies."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vla_sae_ros.core.steering import AppliedEdit, Mode


@dataclass(frozen=True)
class EditGroup:
    """Edits of one site that share a scope.

    A clamp, an add and a scale are all affine in z: z' - z = offset + gain * z. With w the edit's
    weight, (offset, gain) = (w v, -w) for a clamp, (w v, 0) for an add, (0, w (v - 1)) for a scale.

    Attributes:
        token_groups, denoising_steps: the scope; empty = all.
        features: (n,) int64 of the affine edits.
        offset, gain: (n,) float32.
        rows: (n, d) float32, their decoder rows.
        directions: (m, d) float32, unit vectors to project out.
        projection_weights: m weights.
    """

    token_groups: tuple[str, ...]
    denoising_steps: tuple[int, ...]
    features: Tensor
    offset: Tensor
    gain: Tensor
    rows: Tensor
    directions: Tensor
    projection_weights: tuple[float, ...]

    def acts_at(self, step: int) -> bool:
        return not self.denoising_steps or step in self.denoising_steps

    def code_change(self, z: Tensor) -> Tensor:
        """Return z' - z (..., n) for natural activations z (..., n)."""
        return self.offset + self.gain * z

    def project_out(self, x: Tensor) -> Tensor:
        """Return the change of x (B, T, d) that removes the directions, one after the other."""
        change = torch.zeros_like(x)
        for direction, weight in zip(self.directions, self.projection_weights, strict=True):
            change -= weight * ((x + change) @ direction)[..., None] * direction
        return change


def plan_edits(edits: Sequence[AppliedEdit], decoder: Tensor) -> tuple[EditGroup, ...]:
    """Group a site's edits by scope.

    Args:
        edits: of one site.
        decoder: (F, d) float32 decoder rows of the site's SAE.
    """
    scopes = dict.fromkeys((edit.token_groups, edit.denoising_steps) for edit in edits)
    return tuple(
        _plan_scope(
            scope,
            [edit for edit in edits if (edit.token_groups, edit.denoising_steps) == scope],
            decoder,
        )
        for scope in scopes
    )


def _plan_scope(
    scope: tuple[tuple[str, ...], tuple[int, ...]], edits: Iterable[AppliedEdit], decoder: Tensor
) -> EditGroup:
    affine = [edit for edit in edits if edit.mode is not Mode.PROJECT_OUT]
    projected = [edit for edit in edits if edit.mode is Mode.PROJECT_OUT]
    features = torch.tensor(
        [edit.feature for edit in affine], dtype=torch.int64, device=decoder.device
    )
    removed = torch.tensor(
        [edit.feature for edit in projected], dtype=torch.int64, device=decoder.device
    )
    offset_gain = torch.tensor([_offset_gain(edit) for edit in affine], device=decoder.device)
    offset, gain = offset_gain.reshape(-1, 2).to(torch.float32).unbind(-1)
    return EditGroup(
        *scope,
        features,
        offset,
        gain,
        decoder[features],
        torch.nn.functional.normalize(decoder[removed], dim=-1),
        tuple(edit.weight for edit in projected),
    )


def _offset_gain(edit: AppliedEdit) -> tuple[float, float]:
    if edit.mode is Mode.CLAMP:
        return edit.weight * edit.value, -edit.weight
    if edit.mode is Mode.ADD:
        return edit.weight * edit.value, 0.0
    return 0.0, edit.weight * (edit.value - 1.0)
