"""Edits of one site turned into tensors once, so that an inference only multiplies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

from vla_sae_ros.core.steering import AppliedEdit, Mode
from vla_sae_ros.policy.taps.pooled_change import PooledChange, pooled_change
from vla_sae_ros.policy.taps.shapes import Amounts, Rows
from vla_sae_ros.policy.taps.tokens import Groups
from vla_sae_ros.sae import ActiveCode, SparseAutoencoder
from vla_sae_ros.sae.shapes import ChosenCodes, Features, Residuals


@dataclass(frozen=True)
class EditPlan:
    """The edits of one site that act in one run.

    A clamp, an add and a scale are all affine in z: z' - z = offset + gain * z. With w the edit's
    weight, (offset, gain) = (w v, -w) for a clamp, (w v, 0) for an add, (0, w (v - 1)) for a scale.
    Projections change x by -(x @ directions^T) @ their rows. So dx is one product of n + m
    amounts per token with n + m rows.

    Attributes:
        features: (n,) int64 of the affine edits; one feature may stand twice, while one edit of
            it fades out and another fades in.
        offset, gain: (n,) float32.
        needs_code: some gain is not 0, so that z has to be known.
        alone: an SAE of `features` alone, where their z does not depend on the others.
        directions: (m, d) float32, unit vectors to project out.
        projected: m features, theirs.
        rows: (n + m, d) float32: decoder rows, then what `_projection_rows` says.
        scopes: n + m token scopes.
        one_scope: they are all the same.
        pooled: what the edits do to a pooled SAE's stream, in a batch of one, where all are affine
            and reach the same tokens; None otherwise.
    """

    features: Features
    offset: Amounts
    gain: Amounts
    needs_code: bool
    alone: SparseAutoencoder | None
    directions: Rows
    projected: tuple[int, ...]
    rows: Rows
    scopes: tuple[Groups, ...]
    one_scope: bool
    pooled: PooledChange | None

    def code_change(self, z: ChosenCodes) -> ChosenCodes:
        """Return z' - z (..., n) for natural activations z (..., n)."""
        return torch.addcmul(self.offset, self.gain, z)

    def change_of(
        self, sae: SparseAutoencoder, x_n: Residuals
    ) -> tuple[ChosenCodes, ActiveCode | None]:
        """Return z' - z (..., n) for normalised x_n (..., d), and the code if all was needed."""
        if not self.needs_code:
            return self.offset, None
        if self.alone is not None:
            return self.code_change(self.alone.activate(self.alone.hidden(x_n))), None
        code = sae.encode_normalized(x_n)
        return self.code_change(code.of(self.features)), code


class EditPlans:
    """The plans of one site's edits, by denoising step.

    Args:
        edits: of one site, none of them neutral.
        sae: the site's.
        is_pooled: it reads the mean over the tokens.
        token_groups: of the site: what an edit without a scope reaches.
    """

    def __init__(
        self,
        edits: Sequence[AppliedEdit],
        sae: SparseAutoencoder,
        is_pooled: bool,
        token_groups: Groups,
    ) -> None:
        self._edits, self._sae = tuple(edits), sae
        self._is_pooled, self._token_groups = is_pooled, token_groups
        self._of_step: dict[int, EditPlan | None] = {}
        self._of_edits: dict[tuple[AppliedEdit, ...], EditPlan] = {}

    def at(self, step: int) -> EditPlan | None:
        """Return the plan of this denoising step, or None where no edit acts."""
        if step not in self._of_step:
            self._of_step[step] = self._make(step)
        return self._of_step[step]

    def _make(self, step: int) -> EditPlan | None:
        acting = tuple(e for e in self._edits if step in e.denoising_steps or not e.denoising_steps)
        if acting and acting not in self._of_edits:
            self._of_edits[acting] = _plan(acting, self._sae, self._is_pooled, self._token_groups)
        return self._of_edits.get(acting)


def _plan(
    edits: Sequence[AppliedEdit], sae: SparseAutoencoder, is_pooled: bool, token_groups: Groups
) -> EditPlan:
    decoder = sae.W_dec.detach()
    affine = [edit for edit in edits if edit.mode is not Mode.PROJECT_OUT]
    projecting = [edit for edit in edits if edit.mode is Mode.PROJECT_OUT]
    ordered = [*affine, *projecting]
    numbers = [edit.offset_gain for edit in affine]
    features = torch.tensor([e.feature for e in affine], dtype=torch.int64, device=decoder.device)
    offset = decoder.new_tensor([offset for offset, _gain in numbers])
    gain = decoder.new_tensor([gain for _offset, gain in numbers])
    rows = decoder[torch.tensor([e.feature for e in ordered], device=decoder.device)]
    directions = normalize(rows[len(affine) :], dim=-1)
    scopes = tuple(edit.token_groups or token_groups for edit in ordered)
    one_scope = len(set(scopes)) == 1
    at_once = is_pooled and one_scope and not projecting
    needs_code = any(gain != 0.0 for _offset, gain in numbers)
    return EditPlan(
        features,
        offset,
        gain,
        needs_code,
        sae.of_features(features) if needs_code and not at_once else None,
        directions,
        tuple(edit.feature for edit in projecting),
        torch.cat([rows[: len(affine)], _projection_rows(projecting, directions)]),
        scopes,
        one_scope,
        pooled_change(sae, [e.feature for e in affine], offset, gain, rows, needs_code)
        if at_once
        else None,
    )


def _projection_rows(edits: Sequence[AppliedEdit], directions: Tensor) -> Tensor:
    """Return rows P (m, d) with which x changes by -(x @ directions^T) @ P.

    The directions of one scope are removed one after the other, x <- x - w (x . d) d, so that what
    the first took away is not taken away again. The change after i of them is -(x @ D_i^T) @ P_i;
    the next one adds w d to its own row and takes w (P_i d) d from the rows before.
    """
    rows = torch.zeros_like(directions)
    for place, (edit, direction) in enumerate(zip(edits, directions, strict=True)):
        alike = [n for n in range(place) if edits[n].token_groups == edit.token_groups]
        rows[alike] -= edit.weight * torch.outer(rows[alike] @ direction, direction)
        rows[place] = edit.weight * direction
    return rows
