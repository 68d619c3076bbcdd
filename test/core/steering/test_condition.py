"""Edits that act only while a reading is beyond a threshold."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from steering_by_readings import BESIDE, HEIGHT, SITE, steering_by_readings

from vla_sae_ros.core.errors import ConfigurationError, SteeringRefused
from vla_sae_ros.core.readout import SiteReadout
from vla_sae_ros.core.steering import (
    Condition,
    Edit,
    Mode,
    Phase,
    Steering,
    format_preset,
    parse_preset,
)
from vla_sae_ros.core.steering.condition import Readings, feature_readings
from vla_sae_ros.core.steering.preset import entries_of, parse_condition, read_preset

TICK = 0.05


def edit(when: Condition, **more: object) -> Edit:
    return Edit(1, Mode.ADD, 1.0, SITE, when=when, **more)  # type: ignore[arg-type]


def weights(steering: Steering, heights: list[float | None]) -> list[float]:
    """The edit's weight in inferences one tick apart, at these heights (None: not known)."""
    found = []
    for number, height in enumerate(heights):
        readings: Readings = {} if height is None else {HEIGHT: height}
        steering.begin_inference(number * TICK, 0.0, readings)
        found.append(steering.view().edits[0].weight)
    return found


def test_an_edit_acts_only_while_its_reading_is_above_the_threshold() -> None:
    steering = steering_by_readings()
    steering.set([edit(Condition("height", above=0.2))], "me", lease=10.0)
    assert weights(steering, [0.1, 0.3, 0.3, 0.15, 0.3]) == [0, 1, 1, 0, 1]


def test_below_is_the_other_way_round() -> None:
    steering = steering_by_readings()
    steering.set([edit(Condition("height", below=0.2))], "me", lease=10.0)
    assert weights(steering, [0.1, 0.3, 0.19]) == [1, 0, 1]


def test_hysteresis_keeps_it_acting_until_the_reading_has_come_back_that_far() -> None:
    steering = steering_by_readings()
    steering.set([edit(Condition("height", above=0.2, hysteresis=0.05))], "me", lease=10.0)
    assert weights(steering, [0.18, 0.21, 0.18, 0.16, 0.14, 0.18]) == [0, 1, 1, 1, 0, 0]


def test_it_must_hold_for_a_while_without_a_break() -> None:
    steering = steering_by_readings()
    steering.set([edit(Condition("height", above=0.2, hold=0.1))], "me", lease=10.0)
    high = [0.3, 0.3, 0.1, 0.3, 0.3, 0.3, 0.3, 0.1]
    assert weights(steering, high) == [0, 0, 0, 0, 0, 1, 1, 0]


def test_it_ramps_in_and_out_as_ever() -> None:
    steering = steering_by_readings()
    steering.set([edit(Condition("height", above=0.2), ramp=0.1)], "me", lease=10.0)
    found = weights(steering, [0.1, 0.3, 0.3, 0.3, 0.1, 0.1, 0.1])
    assert found == pytest.approx([0, 0.5, 1, 1, 0.5, 0, 0])


def test_a_reading_that_is_not_known_lets_nothing_act() -> None:
    steering = steering_by_readings()
    steering.set([edit(Condition("height", above=0.2))], "me", lease=10.0)
    assert weights(steering, [0.3, None, 0.3, math.nan]) == [1, 0, 1, 0]


def test_while_it_waits_the_state_says_so_and_what_was_read() -> None:
    steering = steering_by_readings()
    steering.set([edit(Condition("height", above=0.2))], "me", lease=10.0)
    steering.begin_inference(0.0, 0.0, {HEIGHT: 0.1})
    (standing,) = steering.view().edits
    assert (standing.phase, standing.condition_reading) == (Phase.WAITING, 0.1)
    assert steering.begin_inference(TICK, 0.0, {HEIGHT: 0.1}).edits == {}
    steering.begin_inference(2 * TICK, 0.0, {HEIGHT: 0.4})
    assert steering.view().edits[0].phase is Phase.HOLDING


def test_a_feature_or_direction_of_the_inference_before_is_read() -> None:
    steering = steering_by_readings()
    when = Condition(site=BESIDE, feature=2, above=0.5)
    steering.set([edit(when)], "me", lease=10.0)
    assert steering.wanted_features == {(BESIDE, 2)}
    key = ("feature", BESIDE, 2)

    def weight(time: float, start: float = 0.0) -> float:
        steering.begin_inference(time, start)
        return steering.view().edits[0].weight

    assert weight(0.0) == 0.0  # nothing was read yet
    steering.read_out(0.0, {key: 0.7})
    assert weight(TICK) == 1.0
    steering.read_out(TICK, {key: 0.4})
    assert weight(2 * TICK) == 0.0
    steering.read_out(2 * TICK, {key: 0.9})
    assert weight(10.0) == 0.0  # too old
    steering.read_out(10.0, {key: 0.9})
    assert weight(10.1, start=10.1) == 0.0  # of another episode


def test_what_is_not_listed_is_not_active_and_what_was_not_read_out_is_not_known() -> None:
    listed = np.array([3, 7], np.uint32)
    values = np.array([0.5, -1.5], np.float32)
    sites = (SiteReadout(SITE, listed, values, values, 0.0, 1.0, 0.0, False, 0.1),)
    found = feature_readings(sites, {(SITE, 7), (SITE, 4), (BESIDE, 0)})
    assert found == {("feature", SITE, 7): -1.5, ("feature", SITE, 4): 0.0}


def test_another_condition_begins_anew_and_the_same_goes_on() -> None:
    steering = steering_by_readings()
    slow = Condition("height", above=0.2, hold=0.1)
    steering.set([edit(slow)], "me", lease=10.0)
    weights(steering, [0.3, 0.3, 0.3])
    steering.set([edit(slow, ramp=0.0)], "me", lease=10.0)
    steering.begin_inference(3 * TICK, 0.0, {HEIGHT: 0.3})
    assert steering.view().edits[0].weight == 1.0
    steering.set([edit(Condition("height", above=0.25, hold=0.1))], "me", lease=10.0)
    steering.begin_inference(4 * TICK, 0.0, {HEIGHT: 0.3})
    assert steering.view().edits[0].weight == 0.0


@pytest.mark.parametrize(
    ("when", "said"),
    [
        (Condition("gripper", above=0.1), "not known here"),
        (Condition(site="expert.9", above=0.1), "site of `when`"),
        (Condition(site="", above=0.1), "site of `when`"),
        (Condition(site=SITE, feature=4, above=0.1), "unknown feature"),
        (Condition("height", above=1e39), "32 bits"),
    ],
)
def test_a_condition_that_cannot_be_read_here_is_refused_and_nothing_changes(
    when: Condition, said: str
) -> None:
    steering = steering_by_readings()
    with pytest.raises(SteeringRefused, match=said):
        steering.set([edit(when)], "me")
    assert steering.view().edits == () and steering.revision == 0


@pytest.mark.parametrize(
    "parts",
    [
        {"reading": "mood", "above": 1.0},
        {"above": 1.0, "below": 2.0},
        {},
        {"above": math.nan},
        {"above": 1.0, "hysteresis": -1.0},
        {"above": 1.0, "hold": math.inf},
    ],
)
def test_a_condition_that_means_nothing_cannot_be_made(parts: dict) -> None:
    with pytest.raises(ConfigurationError, match="`when`"):
        Condition(**parts)


def test_presets_and_the_command_line_say_conditions_in_the_same_words(tmp_path: Path) -> None:
    when = Condition(site=BESIDE, feature=2, above=0.5, hysteresis=0.25, hold=0.2)
    line = "{site: backbone.0.directions, feature: 2, above: 0.5, hysteresis: 0.25, for: 0.2}"
    assert parse_condition(line) == when
    assert entries_of(when)["for"] == 0.2
    made = [edit(when), Edit(2, Mode.ADD, 1.0, SITE)]
    text = format_preset("conditional", made)
    assert parse_preset(text).edits == tuple(made)
    assert text.count("when") == 1
    (tmp_path / "preset.yaml").write_text(text.replace("above", "abov"))
    with pytest.raises(ConfigurationError, match="above"):
        read_preset(tmp_path / "preset.yaml")
