"""A controller of an edit's strength, on plants whose answer to it is known."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from steering_by_readings import BESIDE, HEIGHT, SITE, steering_by_readings

from vla_sae_ros.core.errors import ConfigurationError, SteeringRefused
from vla_sae_ros.core.steering import (
    Condition,
    Control,
    Edit,
    Mode,
    Phase,
    Steering,
    Unit,
    format_preset,
    parse_preset,
)
from vla_sae_ros.core.steering.preset import line_of, parse_control, read_preset

TICK = 0.25
"""[s] between two inferences."""
MAX = 2.0
"""Observed maximum of every feature."""


def make(slew_limit: float = 1000.0) -> Steering:
    return steering_by_readings(MAX, slew_limit)


def control(**parts: object) -> Control:
    usual = {"reading": "height", "at": 0.5, "kp": 1.0, "ki": 2.0, "bounds": (0.0, 4.0)}
    return Control(**{**usual, **parts})  # type: ignore[arg-type]


def edit(how: Control, value: float = 0.0, **more: object) -> Edit:
    return Edit(1, Mode.ADD, value, SITE, Unit.OBSERVED_MAX, control=how, **more)  # type: ignore[arg-type]


class Plant:
    """A height that follows what is applied with a lag, from `rest` on: `gain` per observed max."""

    def __init__(self, steering: Steering, gain: float = 0.2, lag: float = 0.6) -> None:
        self.steering, self.gain, self.lag = steering, gain, lag
        self.height, self.rest, self.time, self.number = 0.1, 0.1, 0.0, 0
        self.strengths: list[float] = []
        self.heights: list[float] = []

    def run(self, inferences: int, known: bool = True) -> None:
        for _ in range(inferences):
            readings = {HEIGHT: self.height} if known else {}
            self.time = self.number * TICK
            snapshot = self.steering.begin_inference(self.time, 0.0, readings)
            self.number += 1
            applied = snapshot.edits.get(SITE, ())
            strength = sum(one.value * one.weight for one in applied) / MAX
            towards = self.rest + self.gain * strength
            self.height += (towards - self.height) * (1 - math.exp(-TICK / self.lag))
            self.strengths.append(strength)
            self.heights.append(self.height)


def started(how: Control, slew_limit: float = 1000.0, **more: object) -> Plant:
    steering = make(slew_limit)
    steering.set([edit(how, **more)], "me", lease=60.0)  # type: ignore[arg-type]
    return Plant(steering)


def test_the_reading_converges_to_where_it_is_wanted_without_an_error_that_stays() -> None:
    plant = started(control())
    plant.run(80)
    assert plant.heights[-1] == pytest.approx(0.5, abs=1e-3)
    # (0.5 - 0.1) / 0.2 observed maxima hold it there.
    assert plant.strengths[-1] == pytest.approx(2.0, abs=1e-2)
    (standing,) = plant.steering.view().edits
    assert standing.control_reading == pytest.approx(0.5, abs=1e-3)
    assert standing.applied == pytest.approx(2.0 * MAX, rel=1e-2)


def test_without_the_integral_an_error_stays_and_is_as_large_as_the_gains_say() -> None:
    plant = started(control(kp=5.0, ki=0.0))
    plant.run(80)
    # At rest: h = 0.1 + 0.2 x 5 (0.5 - h).
    assert plant.heights[-1] == pytest.approx(0.3, abs=1e-3)


def test_it_converges_from_another_load_and_with_gains_of_the_other_sign() -> None:
    plant = started(control(bounds=(-4.0, 4.0)))
    plant.run(60)
    plant.rest = 0.9
    plant.run(100)
    assert plant.heights[-1] == pytest.approx(0.5, abs=1e-3)
    assert plant.strengths[-1] == pytest.approx(-2.0, abs=2e-2)
    opposite = started(control(kp=-1.0, ki=-2.0, bounds=(-4.0, 0.0)))
    opposite.gain = -0.2
    opposite.run(80)
    assert opposite.heights[-1] == pytest.approx(0.5, abs=1e-3)


def test_a_one_sided_controller_does_nothing_where_the_reading_is_beyond() -> None:
    plant = started(control(at=0.05))
    plant.run(40)
    assert plant.strengths == [0.0] * 40 and plant.heights[-1] == pytest.approx(0.1)


def test_the_strength_stays_within_its_bounds() -> None:
    plant = started(control(bounds=(0.0, 1.5), kp=50.0, ki=20.0))
    plant.run(60)
    assert max(plant.strengths) == pytest.approx(1.5)
    assert min(plant.strengths) >= 0.0


def test_what_could_not_be_reached_is_not_made_up_for_afterwards() -> None:
    """Anti-windup: after long at its bound it comes back as soon as the error turns."""
    plant = started(control(bounds=(0.0, 1.0)))
    plant.run(200)
    assert plant.strengths[-1] == pytest.approx(1.0) and plant.heights[-1] < 0.31
    plant.rest = 0.9  # now far above what is wanted
    plant.run(12)
    assert plant.strengths[-1] == 0.0


def test_behind_the_slew_limit_nothing_winds_up() -> None:
    slow, fast = started(control(slew=0.4)), started(control())
    for plant in (slow, fast):
        plant.run(120)
        assert plant.heights[-1] == pytest.approx(0.5, abs=2e-3)
    overshoot = max(slow.heights) - 0.5
    assert overshoot < 0.05, "with a wound-up integral it is 0.2"


@pytest.mark.parametrize(("slew", "limit", "fastest"), [(0.4, 1000.0, 0.4), (0.0, 0.8, 0.8)])
def test_it_moves_no_faster_than_its_slew_and_the_nodes(
    slew: float, limit: float, fastest: float
) -> None:
    plant = started(control(kp=100.0, ki=0.0, slew=slew), limit)
    plant.run(40)
    steps = np.abs(np.diff([0.0, *plant.strengths]))
    assert steps.max() == pytest.approx(fastest * TICK, rel=1e-6)


def test_when_its_reading_stops_the_edit_ramps_out_and_says_so() -> None:
    plant = started(control(), ramp=0.5)
    plant.run(60)
    held = plant.strengths[-1]
    plant.run(1, known=False)
    assert plant.strengths[-1] == pytest.approx(held / 2)
    plant.run(4, known=False)
    assert plant.strengths[-1] == 0.0
    (standing,) = plant.steering.view().edits
    assert standing.control_reading is None and standing.phase is Phase.WAITING
    assert standing.weight == 0.0
    plant.run(20, known=False)
    assert plant.strengths[-20:] == [0.0] * 20 and plant.heights[-1] < 0.11


def test_when_its_reading_is_back_it_begins_anew_and_converges_again() -> None:
    plant = started(control())
    plant.run(60)
    plant.run(10, known=False)
    plant.run(1)
    assert plant.strengths[-1] < 1.0, "nothing of the old strength is there at once"
    plant.run(80)
    assert plant.heights[-1] == pytest.approx(0.5, abs=1e-3)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_reading_that_is_no_number_is_none(bad: float) -> None:
    plant = started(control())
    plant.run(60)
    plant.height = bad
    plant.run(1)
    assert plant.strengths[-1] == 0.0


def test_a_feature_that_was_read_too_long_ago_is_none() -> None:
    steering = make()
    how = control(reading="feature", site=BESIDE, feature=2, kp=1.0, ki=0.0)
    steering.set([edit(how)], "me", lease=60.0)
    assert steering.wanted_features == {(BESIDE, 2)}
    key = ("feature", BESIDE, 2)

    def strength(time: float) -> float:
        edits = steering.begin_inference(time, 0.0).edits.get(SITE, ())
        return sum(one.value * one.weight for one in edits) / MAX

    assert strength(0.0) == 0.0
    for number in range(3):
        steering.read_out(number * TICK, {key: 0.2})
        found = strength((number + 1) * TICK)
    assert found == pytest.approx(0.3)
    assert strength(3 * TICK + 2.5) == 0.0, "nothing was read for more than two seconds"


def test_while_bypassed_nothing_winds_up() -> None:
    plant = started(control())
    plant.run(2)
    plant.steering.set_bypass(True, "me")
    plant.run(100)
    assert plant.strengths[-1] == 0.0
    plant.steering.set_bypass(False, "me")
    plant.run(1)
    # kp x 0.4 and what the first inferences added, not 100 inferences of 0.4 x 2 x 0.25.
    assert plant.strengths[-1] < 1.2


def test_while_the_cap_holds_it_back_nothing_winds_up() -> None:
    plant = started(control(bounds=(0.0, 4.0)))
    plant.run(3)
    plant.steering.report_capped(SITE, True)
    before = plant.strengths[-1]
    plant.gain = 0.0
    plant.run(100)
    assert plant.strengths[-1] < before + 0.5


def test_a_condition_that_does_not_hold_turns_it_off() -> None:
    steering = make()
    how = edit(control(), when=Condition("step", above=10.0))
    steering.set([how], "me", lease=60.0)

    def strength(number: int, step: float) -> float:
        readings = {HEIGHT: 0.1, ("step", "", 0): step}
        edits = steering.begin_inference(number * TICK, 0.0, readings).edits.get(SITE, ())
        return sum(one.value * one.weight for one in edits) / MAX

    assert [strength(number, 0.0) for number in range(50)] == [0.0] * 50
    first = [strength(50 + number, 20.0) for number in range(3)]
    assert first[0] == 0.0 and 0.0 < first[2] < 2.0, "it did not add up while it was off"
    assert strength(53, 0.0) == 0.0


def test_another_episode_begins_anew() -> None:
    plant = started(control())
    plant.run(60)
    plant.steering.begin_inference(plant.time + 10.0, plant.time + 10.0, {HEIGHT: 0.5})
    (standing,) = plant.steering.view().edits
    assert standing.commanded == pytest.approx(0.0, abs=1e-6)


def test_the_same_controller_goes_on_and_another_begins_anew() -> None:
    plant = started(control())
    plant.run(60)
    same = plant.strengths[-1]
    plant.steering.set([edit(control(), ramp=0.1)], "me", lease=60.0)
    plant.run(1)
    assert plant.strengths[-1] == pytest.approx(same, abs=1e-2)
    plant.steering.set([edit(control(kp=0.5, ki=0.0))], "me", lease=60.0)
    plant.run(2)
    assert plant.strengths[-1] < 0.5


def test_without_its_controller_an_edit_goes_to_its_value() -> None:
    plant = started(control())
    plant.run(60)
    plain = Edit(1, Mode.ADD, 1.0, SITE, Unit.OBSERVED_MAX)
    plant.steering.set([plain], "me", lease=60.0)
    plant.run(3)
    assert plant.strengths[-1] == pytest.approx(1.0)
    assert plant.steering.view().edits[0].control_reading is None


def test_a_run_repeats_to_the_bit() -> None:
    once, again = (started(control(slew=0.7), ramp=0.3) for _ in range(2))
    for plant in (once, again):
        plant.run(50)
        plant.run(3, known=False)
        plant.run(50)
    assert once.strengths == again.strengths


def test_released_it_ramps_to_natural_and_stays_there() -> None:
    plant = started(control(), ramp=0.5)
    plant.run(60)
    plant.steering.set([], "me", release=[(SITE, 1)])
    plant.run(6)
    assert plant.strengths[-1] == 0.0 and plant.steering.view().edits == ()


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda: edit(control(reading="gripper")), "reading of `control` not known here"),
        (lambda: edit(control(reading="feature", site="x")), "site of `control`"),
        (lambda: edit(control(reading="feature", site=SITE, feature=4)), "unknown feature"),
        (lambda: edit(control(), value=5.0), "within the bounds"),
        (lambda: edit(control(bounds=(0.0, 21.0))), "over the limit"),
        (lambda: edit(control(kp=1e39)), "32 bits"),
        (lambda: Edit(1, Mode.PROJECT_OUT, 0.0, SITE, control=control()), "have a strength"),
    ],
)
def test_a_controller_that_cannot_be_here_is_refused_and_nothing_changes(
    made: Callable[[], Edit], said: str
) -> None:
    steering = make()
    with pytest.raises(SteeringRefused, match=said):
        steering.set([made()], "me")
    assert steering.view().edits == () and steering.revision == 0


@pytest.mark.parametrize(
    "parts",
    [
        {"reading": "mood"},
        {"at": math.nan},
        {"kp": 0.0, "ki": 0.0},
        {"kp": 1.0, "ki": -1.0},
        {"ki": math.inf},
        {"bounds": (1.0, 1.0)},
        {"bounds": (0.0, math.inf)},
        {"slew": -1.0},
    ],
)
def test_a_controller_that_means_nothing_cannot_be_made(parts: dict) -> None:
    with pytest.raises(ConfigurationError, match="`control`"):
        control(**parts)


def test_presets_and_the_command_line_say_controllers_in_the_same_words(tmp_path: Path) -> None:
    how = control(reading="feature", site=BESIDE, feature=2, slew=0.5)
    line = line_of(how)
    assert line == (
        "{site: backbone.0.directions, feature: 2, at: 0.5, kp: 1.0, ki: 2.0, bounds: [0.0, 4.0], "
        "slew: 0.5}"
    )
    assert parse_control(line) == how
    arrived = control(at=float(np.float32(0.4)), bounds=(-float(np.float32(0.1)), 1.0))
    assert "at: 0.4, " in line_of(arrived) and "bounds: [-0.1, 1.0]" in line_of(arrived)
    made = [edit(how, when=Condition("height", above=0.5)), Edit(2, Mode.ADD, 1.0, SITE)]
    text = format_preset("controlled", made)
    assert parse_preset(text).edits == tuple(made)
    (tmp_path / "preset.yaml").write_text(text.replace("bounds", "bound"))
    with pytest.raises(ConfigurationError, match="bounds"):
        read_preset(tmp_path / "preset.yaml")
