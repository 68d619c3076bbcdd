"""Edits of one site as the arrays that go into a graph.

Every edit has a slot. With R the decoder rows of the slots, z their natural activations and s the
scale of the SAE's normalisation, a token in the scope of all of them changes by

    dx = s ((offset + gain z) @ R) - (projection @ R @ x) @ R.

A clamp, an add and a scale are affine in z, a projection is linear in x; a slot that does neither
has zeros and changes nothing, to the bit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vla_sae_ros.core.steering import AppliedEdit, Mode
from vla_sae_ros.policy.onnx.names import FEATURES, GAIN, OFFSET, PROJECTION

FEWEST_SLOTS = 2
"""The graphs take any number of slots from here on; what is not used stays neutral."""
_TINY = 1e-12  # the length below which a decoder row counts as none, as in torch's normalize

GroupMasks = Mapping[str, np.ndarray]
"""Token group -> (T,) bool: the real tokens of that group."""


@dataclass(frozen=True)
class Slots:
    """The edits that act in one run of a site.

    Attributes:
        edits: in the order of their slots.
        features: (N,) int64. offset, gain: (N,) float32. projection: (N, N) float32.
    """

    edits: tuple[AppliedEdit, ...]
    features: np.ndarray
    offset: np.ndarray
    gain: np.ndarray
    projection: np.ndarray

    def feeds(self) -> dict[str, np.ndarray]:
        """Return the inputs that stay the same over an inference."""
        return {
            FEATURES: self.features,
            OFFSET: self.offset,
            GAIN: self.gain,
            PROJECTION: self.projection,
        }

    def scope(self, masks: GroupMasks) -> np.ndarray:
        """Return which tokens each slot changes, (T, N) float32, 0 or 1."""
        tokens = len(next(iter(masks.values())))
        scope = np.zeros((tokens, len(self.features)), np.float32)
        for slot, edit in enumerate(self.edits):
            scope[:, slot] = union(masks, edit.token_groups or tuple(masks))
        return scope


def union(masks: GroupMasks, groups: Sequence[str]) -> np.ndarray:
    """Return (T,) bool: the real tokens of these groups."""
    return np.logical_or.reduce([masks[group] for group in groups])


def plan_slots(edits: tuple[AppliedEdit, ...], decoder: np.ndarray) -> Slots:
    """Give each edit a slot.

    Args:
        edits: of one site.
        decoder: (F, d) float32 decoder rows of the site's SAE.
    """
    size = max(len(edits), FEWEST_SLOTS)
    features = np.zeros(size, np.int64)
    features[: len(edits)] = [edit.feature for edit in edits]
    offset, gain = np.zeros(size, np.float32), np.zeros(size, np.float32)
    for slot, edit in enumerate(edits):
        offset[slot], gain[slot] = edit.offset_gain
    return Slots(edits, features, offset, gain, _projection(edits, decoder, size))


def acting_at(edits: Iterable[AppliedEdit], step: int) -> tuple[AppliedEdit, ...]:
    """Return the edits that act at a denoising step."""
    return tuple(e for e in edits if step in e.denoising_steps or not e.denoising_steps)


def _projection(edits: tuple[AppliedEdit, ...], decoder: np.ndarray, size: int) -> np.ndarray:
    """Return the matrix that removes the projected rows from x.

    Edits of one scope project one after the other: the i-th removes a_i = w_i d_i . (x - sum of
    a_j d_j over those before it). That is (I + W L) a = W D x, with D the unit rows and L the part
    of D D^T below the diagonal; edits of different scopes do not see one another.
    """
    matrix = np.zeros((size, size))
    projected = [slot for slot, edit in enumerate(edits) if edit.mode is Mode.PROJECT_OUT]
    for groups in {edits[slot].token_groups for slot in projected}:
        slots = [slot for slot in projected if edits[slot].token_groups == groups]
        rows = decoder[[edits[slot].feature for slot in slots]].astype(np.float64)
        length = np.maximum(np.linalg.norm(rows, axis=1), _TINY)
        weights = np.diag([edits[slot].weight for slot in slots])
        unit = rows / length[:, None]
        before = np.tril(unit @ unit.T, -1)
        removed = np.linalg.solve(np.eye(len(slots)) + weights @ before, weights)
        matrix[np.ix_(slots, slots)] = removed / length[:, None] / length
    return matrix.astype(np.float32)
