"""Presets travel as YAML and are refused by place."""

from __future__ import annotations

import numpy as np
import pytest

from vla_sae_ros.core.errors import SteeringRefused
from vla_sae_ros.core.steering import (
    Condition,
    Edit,
    Mode,
    Preset,
    Steering,
    SteeringSite,
    Unit,
    format_preset,
    parse_preset,
    preset_of,
)


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


BUNDLES = {"backbone.1": "00ff", "expert.0": "7"}


def test_a_preset_of_the_present_state_leaves_out_what_is_on_its_way_out() -> None:
    site = SteeringSite("expert.0", np.ones(4, np.float32), 5.0, ("action",))
    steering = Steering([site])
    standing = Edit(2, Mode.ADD, 3.0, "expert.0", Unit.OBSERVED_MAX, ramp=0.5, hold=True)
    steering.set([standing, Edit(1, Mode.SCALE, 0.0)], "me")
    steering.begin_inference(1.0)
    steering.set([], "me", release=[("expert.0", 1)])
    preset = preset_of("lift", steering.view(), BUNDLES)
    assert preset == Preset("lift", (standing,), {"expert.0": "7"})
    assert parse_preset(format_preset(preset.name, preset.edits, preset.bundles)) == preset


def test_a_preset_of_another_bundle_is_refused_by_its_name() -> None:
    Preset("lift", (), BUNDLES).check_fits({**BUNDLES, "backbone.2": "1"})
    Preset("lift", ()).check_fits({})
    with pytest.raises(SteeringRefused, match=r"'lift'.*backbone.1 \(preset 00ff, serving 0100\)"):
        Preset("lift", (), BUNDLES).check_fits({**BUNDLES, "backbone.1": "0100"})
    with pytest.raises(SteeringRefused, match=r"expert.0 \(preset 7, serving nothing\)"):
        Preset("lift", (), BUNDLES).check_fits({"backbone.1": "00ff"})


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "not YAML"),
        ("[]", "a mapping with format, name, edits"),
        ("{format: 2, name: x, edits: []}", "preset format"),
        ("{format: 1, name: x, edits: 3}", "a list"),
        ("{format: 1, name: x, edits: [], bundles: [a]}", "`bundles`.*a mapping"),
        (
            "{format: 1, name: x, edits: [], bundles: {expert.1: 12}}",
            "expert.1`.*in quotes",
        ),
        ("{format: 1, name: x, edits: [], bundle: {}}", "Did you mean `bundles`"),
        ("{format: 1.0, name: x, edits: []}", "`format`.*a whole number"),
        ("{format: true, name: x, edits: []}", "`format`"),
        ("{format: 1, name: x}", "`edits` is missing"),
        ("{format: 1, name: 2026-28-11, edits: []}", "`name`"),
        ("{format: 1, name: x, edits: [{feature: 1}]}", r"edits\[0\]"),
        ("{format: 1, name: x, edits: [{feature: 1, mode: clamp, valve: 2}]}", "valve"),
        ("{format: 1, name: x, edits: [{feature: 1.5, mode: clamp}]}", "whole number"),
        ("{format: 1, name: x, edits: [{feature: 1, mode: add, hold: 'false'}]}", "hold"),
        ("{format: 1, name: x, edits: [{feature: 1, mode: add, value: 1, value: 2}]}", "twice"),
        ("{format: 1, name: x, edits: [{feature: 1, mode: add, value: 1:30}]}", "value"),
        ("{format: 1, name: x, edits: [{feature: 010, mode: add}]}", "feature"),
        ("{format: 1, name: x, edits: [{feature: 1, mode: add, site: null}]}", "site"),
        ("{format: 1, name: x, edits: [{feature: 1, mode: add, window: '12'}]}", "window"),
        ("{format: 1, name: x, edits: [{feature: 1, mode: squash}]}", "squash.*project_out"),
    ],
)
def test_a_bad_preset_is_refused_by_its_place(text: str, says: str) -> None:
    with pytest.raises(SteeringRefused, match=says):
        parse_preset(text)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("name: " + "x" * 70_000, "length of the preset"),
        ("edits: [" + "1, " * 12_000 + "1]", "Values in the text"),
        ("? " + "k" * 60_000 + "\n: 1", "kkk.*cut"),
    ],
)
def test_a_huge_preset_is_refused_briefly_and_before_it_is_read(text: str, says: str) -> None:
    with pytest.raises(SteeringRefused, match=says) as refused:
        parse_preset(text)
    assert len(str(refused.value)) < 2000


def test_a_preset_of_all_the_edits_that_may_stand_is_short_enough() -> None:
    when = Condition(site="backbone.1", feature=7, above=0.123456789, hold=0.25)
    steps, groups = tuple(range(50)), ("camera", "language", "state", "action")
    edits = [
        Edit(i, Mode.CLAMP, 1.23456789, "s" * 40, Unit.OBSERVED_MAX, groups, steps, when=when)
        for i in range(64)
    ]
    assert parse_preset(format_preset("all", edits)).edits == tuple(edits)
