"""Every stop says what to do about it."""

from __future__ import annotations

import pytest
from arm_rig import Rig

from vla_sae_ros.robot.next_steps import NEXT_STEPS, with_next_step
from vla_sae_ros.robot.reasons import Stop


@pytest.mark.parametrize("stop", Stop)
def test_every_stop_comes_with_a_next_step(rig: Rig, stop: Stop) -> None:
    rig.envelope.stop(stop, "the reason in words")
    state = rig.envelope.state()
    assert state.said == f"{stop}: the reason in words"
    assert state.next_step == NEXT_STEPS[stop]
    assert state.next_step[0].isupper() and state.next_step.endswith(".")


def test_the_next_step_is_gone_with_the_stop(rig: Rig) -> None:
    assert rig.envelope.state().next_step == ""


def test_what_happened_and_what_to_do_are_sentences() -> None:
    assert with_next_step("it stopped", "Look.") == "it stopped. Look."
    assert with_next_step("It stopped.", "Look.") == "It stopped. Look."
    assert with_next_step("it stopped", "") == "it stopped"
    assert with_next_step("", "Look.") == "Look."
