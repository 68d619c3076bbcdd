"""An episode on a robot without ROS: the source asked tick by tick, and what is told of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vla_sae_ros.core.chunk_queue import Chunk
from vla_sae_ros.core.contract import load_contract
from vla_sae_ros.core.episode_status import EpisodeStatus
from vla_sae_ros.nodes.episode.episode import EpisodeClock, EpisodeGoal, Pacing, Told
from vla_sae_ros.nodes.robot.episode import EpisodeSource, EpisodeTick
from vla_sae_ros.nodes.robot.run import RobotRun
from vla_sae_ros.robot.driver import RobotReading
from vla_sae_ros.robot.droid import RESET_POSE, DroidActions
from vla_sae_ros.robot.outcome import TickOutcome
from vla_sae_ros.robot.reasons import Refused
from vla_sae_ros.robot.reasons import Status as Envelope

CONTRACT = load_contract(Path(__file__).parents[3] / "config" / "contracts" / "droid.yaml")
READING = RobotReading(0.0, RESET_POSE, np.zeros(7), 1.0, True)
GOAL = EpisodeGoal("e", None, -1, 7, "wave", 20, EpisodeClock.REALTIME)
TICK = 1 / 15


class Kept:
    """A RunOutput that remembers."""

    def __init__(self) -> None:
        self.requests, self.told, self.states = [], [], []
        self.request, self.progress = self.requests.append, self.states.append
        self.executed = self.told.append


def source(**changes) -> EpisodeSource:
    given = {"policy_timeout": 1.0, "longest_chunk": 100} | changes
    pacing = Pacing(15.0, execute_steps=8, request_lead=3, resend_after=0.3)
    made = EpisodeSource(CONTRACT.action, pacing, outside=DroidActions().outside, **given)
    made.start(GOAL)
    return made


def chunk(step: int, length: int = 15, value: float = 0.5, number: int = 1) -> Chunk:
    actions = np.zeros((length, 8), np.float32)
    actions[:, 0] = value
    return Chunk(number, "e", step, 3, actions, 15.0)


def tell(run: RobotRun, tick: EpisodeTick | None, kept: Kept, refused: Refused | None = None):
    run.take(TickOutcome(0, 0.0, Envelope.ENABLED, tick, RESET_POSE, refused=refused), 5, kept)


def played(made: EpisodeSource, ticks: int, start: int = 0) -> list[EpisodeTick | None]:
    return [made.next(READING, (start + n) * TICK) for n in range(ticks)]


def test_a_late_chunk_enters_at_the_ticks_executed_since_its_observation():
    made = source()
    first = played(made, 4)
    assert [tick.asks for tick in first] == [True, False, False, False]
    assert all(tick.values is None for tick in first), "it holds while it waits"
    assert made.push(chunk(0)) == ""
    after = made.next(READING, 4 * TICK)
    assert (after.chunk_index, after.step, after.steering_revision) == (4, 4, 3)
    assert after.values[0] == 0.5


def test_a_policy_that_never_answers_is_asked_again_and_then_lost():
    made = source()
    ticks = played(made, 18)
    asked = [n for n, tick in enumerate(ticks) if tick is not None and tick.asks]
    assert asked[:3] == [0, 5, 10], "after 0.3 s each"
    lost = ticks.index(None)
    assert lost == 16, "the first tick more than 1 s after the first request"
    assert made.lost_policy


def test_an_answer_of_any_age_says_that_the_policy_lives():
    made = source()
    played(made, 12)
    made.push(chunk(0, length=3))  # too late to be of use, and refused
    made.push(chunk(8, length=5))
    assert None not in played(made, 12, start=12)


def test_nonsense_reaches_the_envelope_as_it_is_and_a_little_too_much_is_clamped():
    made = source()
    played(made, 1)
    made.push(chunk(1, value=1.4))
    assert made.next(READING, TICK).values[0] == 1.0
    made.push(chunk(2, value=60.0, number=2))
    assert made.next(READING, 2 * TICK).values[0] == 60.0


def test_after_the_end_nothing_of_the_chunk_is_played():
    made = source()
    made.push(chunk(0))
    assert made.next(READING, 0.0).values is not None
    made.end()
    assert all(tick.values is None for tick in played(made, 5, start=1))


def test_the_step_limit_ends_it_and_the_run_is_over_only_when_all_was_told():
    made, run, kept = source(), RobotRun(GOAL), Kept()
    made.push(chunk(0, length=30))
    ticks = played(made, 25)
    assert [tick.step for tick in ticks[20:]] == [-1] * 5
    for tick in ticks[:19]:
        tell(run, tick, kept)
    assert not run.over
    tell(run, ticks[19], kept)
    assert run.over
    result = run.finish("")
    assert (result.progress.step, result.progress.status) == (20, EpisodeStatus.FAILED)
    assert [each.step for each in kept.told] == list(range(20))
    assert kept.requests[0].step == 8, "the horizon"


def test_what_the_envelope_refused_is_not_told_as_executed():
    made, run, kept = source(), RobotRun(GOAL), Kept()
    made.push(chunk(0, value=60.0))
    tell(run, made.next(READING, 0.0), kept, Refused.RANGE)
    assert not kept.told
    assert run.finish("stopped").progress.step == 1


def test_another_instruction_is_asked_for_at_the_next_tick():
    made, run, kept = source(), RobotRun(GOAL), Kept()
    tell(run, made.next(READING, 0.0), kept)
    made.push(chunk(0))
    tell(run, made.next(READING, TICK), kept)
    run.tell(Told("rest", 4))
    made.ask_anew()
    tell(run, made.next(READING, 2 * TICK), kept)
    said = [(r.step, r.goal.instruction, r.goal.instruction_revision) for r in kept.requests]
    assert said == [(0, "wave", 0), (2, "rest", 4)]
    assert kept.told[-1].planned.chunk_id == 1  # the old chunk goes on until the new one is there
    assert run.progress.goal.instruction == "rest"
