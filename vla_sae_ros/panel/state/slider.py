"""A slider's marks on the axis of its edit. No Qt.

The axis carries v in the edit's own unit. Natural is where an edit would change nothing: z for a
clamp, 0 for an addition, 1 for a factor. Applied is what the newest inference did, on the same
axis: z' for a clamp, z' - z for an addition, z' / z for a factor.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from vla_sae_ros.core.steering import Edit, Mode, Unit

LIMIT = 5.0
"""Observed maxima, or the factor, at both ends of a slider; more can be typed."""

NORM_LIMIT = 1.0
"""Fraction of the mean residual norm at both ends."""


@dataclass(frozen=True)
class Activation:
    """Newest value of one feature, in the SAE's units."""

    natural: float
    applied: float
    observed_max: float


@dataclass(frozen=True)
class Slider:
    """What a slider shows, in the unit of its edit; NaN = there is no such mark."""

    edit: Edit
    commanded: float
    applied: float
    natural: float
    limit: float
    """The axis goes from -limit to limit; 0 = there is nothing to drag."""
    enabled: bool
    pending: bool
    """Asked for, and not yet confirmed by the policy."""
    leaving: bool
    """On its way back to natural."""
    stands: bool
    """In force or asked for; otherwise it is what a drag would begin."""


def make_slider(
    edit: Edit,
    activation: Activation,
    stands: bool,
    per_unit: float,
    enabled: bool,
    pending: bool = False,
    leaving: bool = False,
) -> Slider:
    """Return the slider of an edit.

    Args:
        stands: see `Slider`.
        per_unit: SAE units per unit of the edit; NaN = unknown.
    """
    applied, natural = marks(edit.mode, activation, per_unit)
    return Slider(
        edit=edit,
        commanded=edit.value if stands and edit.mode is not Mode.PROJECT_OUT else math.nan,
        applied=applied if stands else math.nan,
        natural=natural,
        limit=axis_limit(edit, activation.observed_max),
        enabled=enabled,
        pending=pending,
        leaving=leaving,
        stands=stands,
    )


def marks(mode: Mode, activation: Activation, per_unit: float) -> tuple[float, float]:
    """Return (applied, natural) on the axis of a mode; NaN where it has none."""
    before, after = activation.natural, activation.applied
    if mode is Mode.CLAMP:
        return after / per_unit, before / per_unit
    if mode is Mode.ADD:
        return (after - before) / per_unit, 0.0
    if mode is Mode.SCALE:
        return after / before if before else math.nan, 1.0
    return math.nan, math.nan


def axis_limit(edit: Edit, observed_max: float) -> float:
    """Return where a slider ends, in the edit's unit."""
    if edit.mode is Mode.PROJECT_OUT:
        return 0.0
    if edit.mode is Mode.SCALE or edit.unit is Unit.OBSERVED_MAX:
        return LIMIT
    if edit.unit is Unit.NATURAL:
        return LIMIT * (observed_max or 1.0)
    return NORM_LIMIT
