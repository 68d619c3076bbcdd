"""The page's section on layers (P4)."""

from __future__ import annotations

from collections.abc import Sequence

from vla_sae_ros.study.experiment.measure.effects import DISPLACEMENT
from vla_sae_ros.study.experiment.measure.layer_sweep import Layer
from vla_sae_ros.study.experiment.report.axis import Axis
from vla_sae_ros.study.experiment.report.forest import Mark
from vla_sae_ros.study.experiment.report.wording import Scale


def layer_marks(layers: Sequence[Layer]) -> list[Mark]:
    """Return the displacement at each site and strength, on one axis."""
    if not layers:
        return []
    several = len({one.strength for one in layers}) > 1
    axis = Axis.over([one.high for one in layers])
    return [
        _mark(one, f"{one.site}, {one.strength:g}" if several else one.site, axis) for one in layers
    ]


def _mark(one: Layer, name: str, axis: Axis) -> Mark:
    mean, low, high = (
        Scale.of(DISPLACEMENT).say(value, False) for value in (one.displacement, one.low, one.high)
    )
    text, left = f"{mean} mm [{low}, {high}]", 100 * axis.share(one.low)
    detail = (
        f"{one.directions} directions, {one.solved} of {one.runs} rollouts solved, "
        f"‖dx‖/‖x‖ {one.edit_ratio:.2f}"
    )
    return Mark(
        name,
        detail,
        "exactly 0" if one.exact else text,
        text,
        "exact" if one.exact else "significant",
        one.arm,
        100 * axis.share(one.displacement),
        left,
        100 * axis.share(one.high) - left,
    )
