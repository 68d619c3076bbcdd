"""What the steering needs to know about a site of the residual stream."""

from __future__ import annotations

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
            0 for a dead feature.
        residual_norm_activation: activation of a unit-norm decoder row whose contribution has
            the norm of the mean residual vector, in the SAE's units.
        token_groups: groups of tokens that pass through this site.
        denoising_steps: times the site runs per inference; 1 for a backbone site.
        why_not: why the site cannot be steered; empty when it can.
    """

    name: str
    observed_max: np.ndarray
    residual_norm_activation: float
    token_groups: tuple[str, ...]
    denoising_steps: int = 1
    why_not: str = ""

    @property
    def can_steer(self) -> bool:
        return not self.why_not

    @property
    def dictionary_size(self) -> int:
        return len(self.observed_max)

    def natural_value(self, edit: Edit) -> float:
        """Return the edit's v in the SAE's activation units.

        Raises:
            SteeringRefused: the unit is the observed maximum and the feature never fired.
        """
        if edit.mode in (Mode.SCALE, Mode.PROJECT_OUT) or edit.unit is Unit.NATURAL:
            return edit.value
        if edit.unit is Unit.RESIDUAL_NORM:
            return edit.value * self.residual_norm_activation
        observed = float(self.observed_max[edit.feature])
        if observed <= 0.0:
            raise SteeringRefused(
                complaint(
                    f"feature {edit.feature} of {self.name} never fired in its SAE's data, so it "
                    "has no observed maximum to multiply",
                    edit.unit.name,
                    "NATURAL or RESIDUAL_NORM units for a dead feature",
                    "Choose another unit or an alive feature.",
                )
            )
        return edit.value * observed

    def distance(self, edit: Edit, from_value: float, to_value: float) -> float:
        """Return how far a change of v goes, in observed maxima, for the slew limit."""
        if edit.mode is Mode.SCALE:
            return abs(to_value - from_value)
        scale = float(self.observed_max[edit.feature]) or self.residual_norm_activation
        return abs(to_value - from_value) / scale
