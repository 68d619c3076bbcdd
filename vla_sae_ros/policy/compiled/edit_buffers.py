"""The edits of one site as tensors that keep their place: a compiled graph reads them.

What an edit is, is written between inferences; the graph that reads it stays the same. A slot that
holds no edit has zeros everywhere and changes nothing. See `policy.onnx.slots` for the formula.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from vla_sae_ros.core.errors import ObservationError, complaint
from vla_sae_ros.core.steering import AppliedEdit, Mode
from vla_sae_ros.policy.onnx.slots import plan_slots
from vla_sae_ros.policy.taps.shapes import Rows, TokenScopes
from vla_sae_ros.sae import SparseAutoencoder

SLOTS = 64
"""Most edits of one site; every one of them costs the same, used or not."""


class EditBuffers(nn.Module):
    """S slots of a site that runs R times per inference.

    Attributes:
        features: (S,) int64.
        rows: (S, d) float32, decoder rows.
        offset, gain: (R, S) float32 with z' - z = offset + gain z, in each run.
        projection: (R, S, S) float32, see `policy.onnx.slots`.
        scope: (T, S) float32, 1 where a slot's edit reaches a token.
        cap: () float32, largest ||dx|| / ||x|| per token.
        alone: an SAE of the slots' features, where their codes do not depend on the others'.
    """

    features: Tensor
    rows: Rows
    offset: Tensor
    gain: Tensor
    projection: Tensor
    scope: TokenScopes
    cap: Tensor

    def __init__(self, sae: SparseAutoencoder, runs: int, tokens: int, slots: int = SLOTS) -> None:
        super().__init__()
        decoder = sae.W_dec.detach()
        shapes = {
            "rows": (slots, sae.d_in),
            "offset": (runs, slots),
            "gain": (runs, slots),
            "projection": (runs, slots, slots),
            "scope": (tokens, slots),
            "cap": (),
        }
        features = torch.zeros(slots, dtype=torch.int64, device=decoder.device)
        self.register_buffer("features", features)
        for name, shape in shapes.items():
            self.register_buffer(name, decoder.new_zeros(shape))
        self.alone = sae.of_features(features)
        self._runs, self._slots = runs, slots
        self._held = 0
        self.push_along(sae)

    def push_along(self, sae: SparseAutoencoder) -> None:
        """Take the rows of what is written from now on from an SAE with the same encoder."""
        self._sae = (sae,)  # in a tuple: its weights are the tap's, not these buffers'
        self._decoder = sae.W_dec.detach().cpu().numpy()

    def write(self, edits: tuple[AppliedEdit, ...]) -> None:
        """Put these edits into the slots, all but their scopes.

        Raises:
            ObservationError: more edits than slots; the slots stay as they are.
        """
        if len(edits) > self._slots:
            raise ObservationError(
                complaint(
                    "edits of one site of a compiled policy",
                    len(edits),
                    f"at most {self._slots}",
                    "Release some, or do not compile the policy.",
                )
            )
        if not edits and not self._held:
            return
        self._held = len(edits)
        features = np.zeros(self._slots, np.int64)
        features[: len(edits)] = [edit.feature for edit in edits]
        affine, projection = np.zeros((2, self._runs, self._slots), np.float32), None
        if any(edit.mode is Mode.PROJECT_OUT for edit in edits):
            projection = np.zeros((self._runs, self._slots, self._slots), np.float32)
        for run in range(self._runs if edits else 0):
            slots = plan_slots(tuple(_in_run(edit, run) for edit in edits), self._decoder)
            affine[:, run, : len(edits)] = slots.offset[: len(edits)], slots.gain[: len(edits)]
            if projection is not None:
                size = len(slots.features)
                projection[run, :size, :size] = slots.projection
        self._copy(features, affine, projection)

    def write_scope(self, scope: Tensor) -> None:
        """Say which tokens the edits reach, (T, n) float32 for the n edits held."""
        self.scope.zero_()
        self.scope[:, : scope.shape[1]] = scope

    def _copy(
        self, features: np.ndarray, affine: np.ndarray, projection: np.ndarray | None
    ) -> None:
        self.features.copy_(torch.from_numpy(features))
        torch.index_select(self._sae[0].W_dec.detach(), 0, self.features, out=self.rows)
        self.offset.copy_(torch.from_numpy(affine[0]))
        self.gain.copy_(torch.from_numpy(affine[1]))
        if projection is None:
            self.projection.zero_()
        else:
            self.projection.copy_(torch.from_numpy(projection))
        if self.alone is not None:
            chosen = self._sae[0].of_features(self.features)
            assert chosen is not None
            for kept, new in zip(self.alone.parameters(), chosen.parameters(), strict=True):
                kept.data.copy_(new)


def _in_run(edit: AppliedEdit, run: int) -> AppliedEdit:
    """Return the edit as it acts in this run, without weight where it does not."""
    acts = not edit.denoising_steps or run in edit.denoising_steps
    return edit if acts else replace(edit, weight=0.0)
