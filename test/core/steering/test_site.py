"""Units of a site whose SAE has rows of any length, or came without the data it was trained on."""

from __future__ import annotations

import math

import numpy as np
import pytest

from vla_sae_ros.core.errors import SteeringRefused
from vla_sae_ros.core.steering import Edit, Mode, Steering, SteeringLimits, SteeringSite, Unit

OBSERVED = np.array([2.0, 0.0], np.float32)
UNKNOWN = SteeringSite("expert.0", np.zeros(2, np.float32), math.nan, ("action",))


def edit(value: float, feature: int = 0, unit: Unit = Unit.NATURAL, **more: object) -> Edit:
    return Edit(feature=feature, mode=Mode.CLAMP, value=value, site="expert.0", unit=unit, **more)  # type: ignore[arg-type]


def test_a_residual_norm_is_as_long_whatever_the_length_of_the_decoder_row() -> None:
    norm = np.array([4.0, 0.5], np.float32)
    site = SteeringSite("expert.0", OBSERVED, 10.0, ("action",), decoder_norm=norm)
    for feature in (0, 1):
        value = site.natural_value(edit(1.5, feature, Unit.RESIDUAL_NORM))
        assert value * norm[feature] == pytest.approx(15.0)
    assert site.distance(edit(0.0, 1), 0.0, 20.0) == pytest.approx(1.0)


def test_a_feature_with_an_empty_decoder_row_has_no_residual_norm() -> None:
    norm = np.array([1.0, 0.0], np.float32)
    site = SteeringSite("expert.0", OBSERVED, 10.0, ("action",), decoder_norm=norm)
    with pytest.raises(SteeringRefused, match="RESIDUAL_NORM"):
        site.natural_value(edit(1.0, 1, Unit.RESIDUAL_NORM))


@pytest.mark.parametrize(
    ("unit", "said"),
    [(Unit.OBSERVED_MAX, "no observed maximum"), (Unit.RESIDUAL_NORM, "norm is unknown")],
)
def test_units_of_an_sae_without_data_are_refused_with_what_to_do(unit: Unit, said: str) -> None:
    steering = Steering([UNKNOWN], SteeringLimits())
    with pytest.raises(SteeringRefused, match=said) as refusal:
        steering.set([edit(1.0, unit=unit)], "me")
    assert "--activations" in str(refusal.value)
    assert steering.set([edit(1.0)], "me") is not None


def test_without_any_scale_limits_and_ramps_count_in_the_units_of_the_sae() -> None:
    assert UNKNOWN.distance(edit(0.0), 1.0, 4.0) == 3.0
    steering = Steering([UNKNOWN], SteeringLimits(max_multiple=5.0))
    with pytest.raises(SteeringRefused, match="scale being unknown"):
        steering.set([edit(6.0)], "me")
    known = SteeringSite("expert.0", OBSERVED, 10.0, ("action",))
    assert known.strength_unit(edit(1.0, 0)) == "observed maxima"
    assert known.strength_unit(edit(1.0, 1)) == "mean residual norms"
