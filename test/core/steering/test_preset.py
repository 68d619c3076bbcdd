"""Presets travel as YAML and are refused by place."""

from __future__ import annotations

import pytest

from vla_sae_ros.core.errors import SteeringRefused
from vla_sae_ros.core.steering import Edit, Mode, Unit, format_preset, parse_preset


def test_a_preset_survives_the_way_through_yaml() -> None:
    edits = [
        Edit(
            3,
            Mode.CLAMP,
            4.0,
            "backbone.1",
            Unit.OBSERVED_MAX,
            ("camera",),
            (),
            0.5,
            3.0,
            (1.0, 2.0),
            True,
        ),
        Edit(7, Mode.PROJECT_OUT, site="expert.0", denoising_steps=(0, 9)),
    ]
    preset = parse_preset(format_preset("lift", edits))
    assert (preset.name, list(preset.edits)) == ("lift", edits)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "not YAML"),
        ("[]", "keys of a preset"),
        ("{format: 2, name: x, edits: []}", "preset format"),
        ("{format: 1, name: x, edits: 3}", "a list"),
        ("{format: 1, name: x, edits: [{feature: 1}]}", r"edits\[0\]"),
        ("{format: 1, name: x, edits: [{feature: 1, mode: clamp, valve: 2}]}", "valve"),
        ("{format: 1, name: x, edits: [{feature: 1.5, mode: clamp}]}", "whole number"),
        ("{format: 1, name: x, edits: [{feature: 1, mode: squash}]}", "SQUASH"),
    ],
)
def test_a_bad_preset_is_refused_by_its_place(text: str, says: str) -> None:
    with pytest.raises(SteeringRefused, match=says):
        parse_preset(text)
