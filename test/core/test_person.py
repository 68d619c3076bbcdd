"""What a person asks for: only while in charge, only valid, only for a short time."""

from __future__ import annotations

import math

import numpy as np
import pytest

from vla_sae_ros.core.person import FRAME, PersonInput, PersonLimits

LIMITS = PersonLimits(linear=0.25, angular=1.0, joint=1.0, timeout=0.25)
UP = np.array([0.0, 0.0, 0.1, 0.0, 0.0, 0.0])


class Clock:
    now = 10.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def person(clock: Clock) -> PersonInput:
    made = PersonInput(LIMITS, 7, clock)
    made.note(1)
    return made


def test_the_newest_command_counts_until_it_is_too_old_from_its_stamp_on(person, clock) -> None:
    assert person.silent and person.newest() is None
    assert not person.twist(UP, FRAME, age=0.2)
    assert not person.silent
    np.testing.assert_array_equal(person.newest().velocity, UP)
    clock.now += 0.1
    assert person.newest() is None and person.silent
    assert not person.twist(2 * UP, FRAME, age=-0.1)  # a clock that is a little ahead
    clock.now += 0.2
    np.testing.assert_array_equal(person.newest().velocity, 2 * UP)
    clock.now += 0.1
    assert person.silent


WRONG = [
    pytest.param(np.append(UP[:5], math.nan), FRAME, 0.0, "finite", id="NaN"),
    pytest.param(np.append(UP[:5], math.inf), FRAME, 0.0, "finite", id="infinity"),
    pytest.param(UP[:3], FRAME, 0.0, "6 finite numbers", id="size"),
    pytest.param(UP, "camera", 0.0, "'base'", id="frame"),
    pytest.param(UP, "", 0.0, "'base'", id="no frame"),
    pytest.param(5 * UP, FRAME, 0.0, "0 to 0.25", id="too fast"),
    pytest.param(np.array([0.2, 0.2, 0, 0, 0, 0.0]), FRAME, 0.0, "0 to 0.25", id="sum too fast"),
    pytest.param(np.array([0, 0, 0, 0, 1.1, 0]), FRAME, 0.0, "0 to 1", id="turns too fast"),
    pytest.param(UP, FRAME, 0.3, "at most 0.25 s", id="stale"),
    pytest.param(UP, FRAME, -0.3, "at most 0.25 s", id="from the future"),
    pytest.param(UP, FRAME, math.nan, "time it is made", id="no stamp"),
]


@pytest.mark.parametrize(("values", "frame", "age", "words"), WRONG)
def test_what_is_wrong_is_refused_in_words_and_counted_and_the_one_before_stays(
    person, values, frame, age, words
) -> None:
    assert not person.twist(UP, FRAME, 0.0)
    refusal = person.twist(values, frame, age)
    assert words in refusal and "got" in refusal
    assert (person.accepted, person.refused, person.refusal) == (1, 1, refusal)
    np.testing.assert_array_equal(person.newest().velocity, UP)


@pytest.mark.parametrize("values", [np.ones(6) / 2, np.full(7, 1.1), np.full(7, math.nan)])
def test_joint_velocities_of_another_size_speed_or_without_a_number_are_refused(
    person, values
) -> None:
    assert not person.joint_velocities(np.full(7, 0.5), 0.0)
    assert "joint velocities" in person.joint_velocities(values, 0.0)
    assert person.newest().joints and (person.newest().velocity == 0.5).all()


def test_nothing_counts_before_a_takeover_or_after_its_end(clock) -> None:
    person = PersonInput(LIMITS, 0, clock)
    assert "nobody has taken over" in person.twist(UP, FRAME, 0.0)
    assert "nobody has taken over" in person.gripper(1.0)
    person.note(1)
    assert person.newest() is None
    assert not person.twist(UP, FRAME, 0.0) and not person.gripper(1.0)
    person.note(0)
    assert person.newest() is None and not person.silent and math.isnan(person.closing)
    person.note(2)
    assert person.newest() is None and math.isnan(person.closing)


def test_a_gripper_request_is_heard_without_any_motion_and_stays(person, clock) -> None:
    assert not person.gripper(1.0)
    assert not person.newest().velocity.any() and person.closing == 1.0
    clock.now += 1.0
    assert person.newest() is None and person.closing == 1.0
    for wrong in (1.5, -0.1, math.nan):
        assert "0 (open) to 1 (closed)" in person.gripper(wrong)
    assert person.closing == 1.0
