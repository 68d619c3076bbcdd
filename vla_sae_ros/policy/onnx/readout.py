"""What a tapped graph put out, as the read-out of a site."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from vla_sae_ros.core.readout import SiteReadout
from vla_sae_ros.core.steering import Mode
from vla_sae_ros.policy.onnx.description import ExportedSite
from vla_sae_ros.policy.onnx.names import (
    ACTIVE,
    EDITED,
    INDEX,
    NORM,
    SPREAD,
    UNEXPLAINED,
    VALUE,
)
from vla_sae_ros.policy.onnx.slots import Slots


@dataclass(frozen=True)
class Strength:
    """How strong one run's edits were.

    ratio: mean ||dx|| / ||x|| over the edited tokens, after the cap. capped: some token's was cut.
    """

    ratio: float = 0.0
    capped: bool = False


def strength_of(ratio: np.ndarray, scope: np.ndarray, cap: float) -> Strength:
    """Return the strength of one run, from ||dx|| / ||x|| (T,) before the cap and scope (T, N)."""
    edited = ratio[scope.any(axis=1)]
    if not edited.size:
        return Strength()
    return Strength(float(np.minimum(edited, cap).mean()), bool((edited > cap).any()))


@dataclass(frozen=True)
class Reading:
    """What a tap put out in one inference, to be read out when the actions are gone.

    Attributes:
        site: which one.
        outputs: of its last run, by the names of `TAP_OUTPUTS`.
        read: (T,) bool, the tokens that the SAE reads.
        slots, scope: the edits of that last run, and the tokens they changed, (T, N) bool.
        strengths: of the runs that were edited.
    """

    site: ExportedSite
    outputs: Mapping[str, np.ndarray]
    read: np.ndarray
    slots: Slots
    scope: np.ndarray
    strengths: tuple[Strength, ...]

    def readout(self) -> SiteReadout:
        """Return the active and the edited features; see `policy.reading.Reading.readout`."""
        outputs, samples = self.outputs, self._samples
        natural = np.zeros(self.site.dictionary_size, np.float32)
        np.maximum.at(natural, outputs[INDEX][samples].ravel(), outputs[VALUE][samples].ravel())
        features, z, reached = self._edited()
        natural[features] = z
        applied = natural.copy()
        applied[features] = reached
        shown = natural > 0
        shown[[edit.feature for edit in self.slots.edits]] = True
        index = np.flatnonzero(shown)
        return SiteReadout(
            site=self.site.site,
            index=index.astype(np.uint32),
            natural=natural[index],
            applied=applied[index],
            fvu=float(outputs[UNEXPLAINED][samples].sum() / outputs[SPREAD][samples].sum()),
            residual_norm=float(outputs[NORM][self.read].mean()),
            edit_norm_ratio=max((strength.ratio for strength in self.strengths), default=0.0),
            capped=any(strength.capped for strength in self.strengths),
            tap_ms=float("nan"),
            unlisted=self._unlisted(shown),
        )

    @property
    def _samples(self) -> slice | np.ndarray:
        return slice(None) if self.site.pooled else self.read

    def _unlisted(self, shown: np.ndarray) -> int:
        if self.site.lists_everything:
            return 0
        return int((self.outputs[ACTIVE] & ~shown).sum())

    def _edited(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the features with an edited code, each once, and their largest z and z'."""
        slots, edits = self.slots, self.slots.edits
        coded = [slot for slot, e in enumerate(edits) if e.mode is not Mode.PROJECT_OUT]
        if not coded:
            nothing = np.zeros(0, np.float32)
            return np.zeros(0, np.int64), nothing, nothing
        z = self.outputs[EDITED][self._samples][:, coded]
        change = slots.offset[coded] + slots.gain[coded] * z
        if not self.site.pooled:
            change = change * self.scope[self.read][:, coded]
        features, first, place = np.unique(
            slots.features[coded], return_index=True, return_inverse=True
        )
        natural = z[:, first]
        reached = natural.copy()
        # Two edits of one feature, one fading out and one fading in, add up.
        np.add.at(reached.T, place, change.T)
        return features, natural.max(axis=0), reached.max(axis=0)
