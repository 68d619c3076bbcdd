"""One tapped site through one inference: what goes into the graph and what comes out."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from onnxruntime import OrtValue

from vla_sae_ros.core.steering import AppliedEdit
from vla_sae_ros.policy.onnx.description import ExportedSite
from vla_sae_ros.policy.onnx.names import (
    ACTIVE,
    RATIO,
    READ,
    SCOPE,
    TAP_OUTPUTS,
    of_site,
)
from vla_sae_ros.policy.onnx.readout import Reading, Strength, strength_of
from vla_sae_ros.policy.onnx.slots import GroupMasks, Slots, acting_at, plan_slots, union


class SiteRun:
    """Feeds a site's tap. One inference is `begin`, `feeds` and `took` per run, then `reading`.

    Args:
        site: which one.
        decoder: (F, d) float32 decoder rows of its SAE.
    """

    def __init__(self, site: ExportedSite, decoder: np.ndarray) -> None:
        self.site, self._decoder = site, decoder
        self._edits: tuple[AppliedEdit, ...] = ()
        self._planned: dict[tuple[AppliedEdit, ...], Slots] = {}

    def begin(self, masks: GroupMasks, edits: tuple[AppliedEdit, ...], cap: float) -> None:
        """Prepare for one inference; see `policy.tap.Tap.begin`."""
        if edits != self._edits:
            self._edits, self._planned = edits, {}
        self._masks, self._cap = masks, cap
        self._read = union(masks, self.site.read_groups)
        self._strengths: list[Strength] = []
        self._reading: Reading | None = None

    def needs_tap_at(self, step: int) -> bool:
        """Whether this run must be edited or read."""
        return step == self.site.runs_per_inference - 1 or bool(acting_at(self._edits, step))

    def feeds(self, step: int) -> dict[str, np.ndarray]:
        """Return the tap's inputs for this run."""
        acting = acting_at(self._edits, step)
        if acting not in self._planned:
            self._planned[acting] = plan_slots(acting, self._decoder)
        self._step, self._slots = step, self._planned[acting]
        self._scope = self._slots.scope(self._masks)
        inputs = {
            **self._slots.feeds(),
            SCOPE: self._scope,
            READ: self._read.astype(np.float32) / np.float32(self._read.sum()),
        }
        return {of_site(self.site.site, name): value for name, value in inputs.items()}

    def took(self, outputs: Mapping[str, OrtValue]) -> None:
        """Take the outputs of the run that `feeds` was for."""
        name, scope = self.site.site, self._scope > 0
        ratio = outputs[of_site(name, RATIO)].numpy()
        self._strengths.append(strength_of(ratio, scope, self._cap))
        if self._step == self.site.runs_per_inference - 1:
            wanted = TAP_OUTPUTS if self.site.lists_everything else (*TAP_OUTPUTS, ACTIVE)
            kept = {one: outputs[of_site(name, one)].numpy() for one in wanted}
            self._reading = Reading(
                self.site, kept, self._read, self._slots, scope, tuple(self._strengths)
            )

    def reading(self) -> Reading:
        """Return what this inference leaves to be read out; valid as long as it is kept."""
        assert self._reading is not None, "the last run comes before the read-out"
        return self._reading
