"""What a bag's states say of an episode's instruction over time."""

from __future__ import annotations

from types import SimpleNamespace

from vla_sae_ros.bags.timeline import EVENT_KINDS, Timeline, name_of
from vla_sae_ros.core.steering import EventKind
from vla_sae_ros.msg import SteeringEvent


def state(step: int, instruction: str, revision: int | None = 0) -> SimpleNamespace:
    """A state as a bag gives it back; revision None: of a version that had no such field."""
    stamp = SimpleNamespace(sec=10, nanosec=0)
    made = SimpleNamespace(
        start=stamp,
        episode_id="e",
        suite="s",
        task=0,
        instruction=instruction,
        init_state=0,
        seed=1,
        step=step,
        max_steps=50,
        clock=0,
        status=2,
        control_rate=20.0,
        missed_deadlines=0,
        held_ticks=0,
        dropped_chunks=0,
        LOCKSTEP=0,
        REALTIME=1,
    )
    if revision is not None:
        made.instruction_revision = revision
    return made


def span(*states: SimpleNamespace):
    return Timeline([(1000 + number, one) for number, one in enumerate(states)]).spans["e"]


def test_the_instruction_is_a_series_over_the_steps() -> None:
    found = span(state(0, "reach"), state(3, "reach"), state(7, "wave", 1), state(9, "rest", 2))
    assert found.instructions == ((0, "reach"), (7, "wave"), (9, "rest"))
    said = [found.instruction_at(step) for step in (0, 6, 7, 8, 9, 40)]
    assert said == ["reach", "reach", "wave", "wave", "rest", "rest"]
    assert found.instruction == "rest"


def test_what_was_found_out_at_the_reset_is_the_first_instruction() -> None:
    assert span(
        state(0, ""), state(0, "the task's own"), state(4, "the task's own")
    ).instructions == ((0, "the task's own"),)


def test_bags_of_older_versions_have_one_instruction() -> None:
    assert span(state(0, "reach", None), state(5, "reach", None)).instructions == ((0, "reach"),)


def test_every_kind_of_steering_event_has_its_name() -> None:
    for kind in EventKind:
        assert name_of(SteeringEvent(), EVENT_KINDS, getattr(SteeringEvent, kind.name)) == kind.name
