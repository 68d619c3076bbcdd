"""What the steering needs to know about a site of the residual stream."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from vla_sae_ros.core.errors import SteeringRefused, complaint
from vla_sae_ros.core.steering.edit import Edit, Mode, Unit


@dataclass(frozen=True)
class SteeringSite:
    """A site with an SAE on it.

    Attributes:
        name: e.g. "backbone.1".
        observed_max: (F,) float32, largest activation seen per feature, in the SAE's units;
            0 for a dead feature and where it is unknown.
        residual_norm_activation: activation of a unit-norm decoder row whose contribution has
            the norm of the mean residual vector, in the SAE's units; NaN where it is unknown.
        token_groups: groups of tokens that pass through this site.
        denoising_steps: times the site runs per inference; 1 for a backbone site.
        why_not: why the site cannot be steered; empty when it can.
        decoder_norm: (F,) norm of each decoder row; None where all are 1.
    """

    name: str
    observed_max: np.ndarray
    residual_norm_activation: float
    token_groups: tuple[str, ...]
    denoising_steps: int = 1
    why_not: str = ""
    decoder_norm: np.ndarray | None = None

    @property
    def can_steer(self) -> bool:
        return not self.why_not

    @property
    def dictionary_size(self) -> int:
        return len(self.observed_max)

    def natural_value(self, edit: Edit) -> float:
        """Return the edit's v in the SAE's activation units.

        Raises:
            SteeringRefused: the unit is the observed maximum and that of the feature is not known,
                or it is the mean residual norm and the bundle does not know that.
        """
        if edit.mode is Mode.PROJECT_OUT:
            return 0.0  # has no v; whatever was sent must not be ramped
        if edit.mode is Mode.SCALE or edit.unit is Unit.NATURAL:
            return edit.value
        if edit.unit is Unit.RESIDUAL_NORM:
            return edit.value * self._residual_norm(edit)
        observed = float(self.observed_max[edit.feature])
        if observed <= 0.0:
            raise SteeringRefused(
                complaint(
                    f"feature {edit.feature} of {self.name} has no observed maximum to multiply: "
                    "it never fired in its SAE's data, or the SAE came without data",
                    edit.unit.name,
                    "NATURAL or RESIDUAL_NORM units for such a feature",
                    "Choose another unit or feature, or convert the SAE with --activations.",
                )
            )
        return edit.value * observed

    def distance(self, edit: Edit, from_value: float, to_value: float) -> float:
        """Return how far a change of v goes, for the slew limit and the strength limit.

        In the `strength_unit` of the feature; of a factor, in its own.
        """
        if edit.mode is Mode.SCALE:
            return abs(to_value - from_value)
        scale = float(self.observed_max[edit.feature]) or self._residual_norm_activation(edit)
        return abs(to_value - from_value) / (scale if math.isfinite(scale) else 1.0)

    def strength_unit(self, edit: Edit) -> str:
        """Return what a strength is measured in, the first of these that is known."""
        if self.observed_max[edit.feature] > 0.0:
            return "observed maxima"
        known = math.isfinite(self._residual_norm_activation(edit))
        return "mean residual norms" if known else "the SAE's units, its scale being unknown"

    def _residual_norm(self, edit: Edit) -> float:
        value = self._residual_norm_activation(edit)
        if not math.isfinite(value):
            raise SteeringRefused(
                complaint(
                    f"the SAE of {self.name} came without data, so its mean residual norm is "
                    "unknown",
                    edit.unit.name,
                    "NATURAL units",
                    "Choose that unit, or convert the SAE with --activations.",
                )
            )
        return value

    def _residual_norm_activation(self, edit: Edit) -> float:
        row = 1.0 if self.decoder_norm is None else float(self.decoder_norm[edit.feature])
        return self.residual_norm_activation / row if row > 0.0 else math.nan
