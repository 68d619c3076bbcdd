from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vla_sae_ros.core.chunk_queue import Chunk
from vla_sae_ros.core.commander import Commander
from vla_sae_ros.core.contract import load_contract
from vla_sae_ros.core.episode_status import EpisodeStatus
from vla_sae_ros.core.errors import SimulationError
from vla_sae_ros.nodes.episode.episode import (
    EpisodeCanceled,
    EpisodeClock,
    EpisodeGoal,
    EpisodeResult,
    ExecutedTick,
    Pacing,
    Progress,
    Request,
    Told,
)
from vla_sae_ros.nodes.episode.runner import EpisodeRunner
from vla_sae_ros.sim.environment import Observation

ACTION = load_contract(Path(__file__).parents[3] / "config" / "contracts" / "libero.yaml").action
PERIOD = 0.05
START_NS = 1_000_000_000_000


class FakeWorld:
    """Time, mailbox and output in one: time passes only while the episode waits or computes."""

    def __init__(self) -> None:
        self.now = 0.0
        self.answer: Callable[[Request], None] = lambda request: None
        self.requests: list[Request] = []
        self.observations: list[int] = []
        self.shown: list[tuple[float, Observation, dict[str, np.ndarray]]] = []
        self.ticks: list[ExecutedTick] = []
        self.told: list[Progress] = []
        self.cancel_at = np.inf
        self._due: list[tuple[float, int, Chunk | None]] = []
        self._order = itertools.count()

    def wake(self) -> None:
        """Used by what draws: its news come as an arrival without a chunk."""

    def send(self, chunk: Chunk | None, delay: float = 0.0) -> None:
        heapq.heappush(self._due, (self.now + delay, next(self._order), chunk))

    def wall_ns(self) -> int:
        return START_NS + round(self.now * 1e9)

    def monotonic(self) -> float:
        return self.now

    def get(self, timeout: float) -> Chunk | None:
        until = self.now + max(0.0, timeout)
        arrival = self._due[0][0] if self._due else np.inf
        self.now = max(self.now, min(until, arrival, self.cancel_at))
        if self.now >= self.cancel_at:
            raise EpisodeCanceled
        return heapq.heappop(self._due)[2] if arrival <= self.now else None

    def observation(self, stamp_ns, observation, pictures) -> None:
        assert set(pictures) == {"agentview", "wrist"}
        self.observations.append(stamp_ns)
        self.shown.append((self.now, observation, pictures))

    def request(self, request: Request) -> None:
        self.requests.append(request)
        self.answer(request)

    def executed(self, tick: ExecutedTick) -> None:
        self.ticks.append(tick)

    def progress(self, progress: Progress) -> None:
        self.told.append(progress)


class FakePolicy:
    """Answers after a delay; every action says which chunk and tick it is for."""

    def __init__(self, world: FakeWorld, delay: float = 0.0, horizon: int = 10) -> None:
        self.world, self.delay, self.horizon = world, delay, horizon
        self.ids = itertools.count(1)
        self.revision = 0
        world.answer = self

    def __call__(self, request: Request) -> None:
        self.world.send(self.chunk(request.goal.episode_id, request.step), self.delay)

    def chunk(self, episode: str, step: int) -> Chunk:
        ticks = np.arange(step, step + self.horizon, dtype=np.float32) / 1000
        actions = np.tile(ticks[:, None], (1, 7))
        return Chunk(next(self.ids), episode, step, self.revision, actions, 20.0)


class FakeRenderer:
    """Takes a while of the fake world's time to draw pictures of one pixel: the state's first."""

    restarts, trouble = 0, ""

    def __init__(self, world: FakeWorld, environment: Any, takes: float = 2.5 * PERIOD) -> None:
        self.world, self.environment, self.takes = world, environment, takes
        self.broken = False
        self._drawn_at, self._state = np.inf, 0.0
        self._busy = False

    def submit(self) -> bool:
        if self._busy:
            return False
        self._busy, self._state = True, self.environment.state[0]
        self._drawn_at = self.world.now + self.takes
        if np.isfinite(self._drawn_at):
            self.world.send(None, self.takes)
        return True

    def collect(self, timeout: float = 0.0) -> dict[str, np.ndarray] | None:
        if self.broken:
            raise SimulationError("The rendering process ended by SIGKILL.")
        if timeout and np.isfinite(self._drawn_at):
            self.world.now = max(self.world.now, min(self._drawn_at, self.world.now + timeout))
        if not self._busy or self.world.now < self._drawn_at:
            return None
        self._busy = False
        return dict.fromkeys(("agentview", "wrist"), np.array(self._state))


@pytest.fixture
def renderer(world, environment) -> FakeRenderer:
    """Makes the environment one whose pictures are drawn in the background."""
    made = FakeRenderer(world, environment)
    environment.background_renderer = lambda wake: made
    return made


@pytest.fixture
def world() -> FakeWorld:
    return FakeWorld()


@pytest.fixture
def run(world, environment, task):
    def run(clock: str = "lockstep", hand: Any = None, **pacing: float) -> EpisodeResult:
        goal = EpisodeGoal("e1", task, 0, 7, "reach", task.max_steps, EpisodeClock(clock))
        runner = EpisodeRunner(
            goal, environment, ACTION, Pacing(20.0, **pacing), world, world, world, hand=hand
        )
        return runner.run()

    return run


def executed_from(world: FakeWorld) -> list[tuple[int, int] | None]:
    return [(t.planned.chunk_id, t.planned.chunk_index) if t.planned else None for t in world.ticks]


def test_lockstep_executes_execute_steps_of_each_chunk(world, run):
    FakePolicy(world, delay=1.0)
    result = run(execute_steps=5)
    assert result.progress.status is EpisodeStatus.FAILED
    assert [request.step for request in world.requests] == [0, 5, 10]
    assert executed_from(world) == [(c, r) for c in (1, 2) for r in range(5)] + [(3, 0), (3, 1)]
    assert result.progress.counts.held_ticks == 0


def test_no_tick_passes_while_lockstep_waits_and_stamps_count_ticks(world, run):
    FakePolicy(world, delay=1.7)
    run(execute_steps=4)
    period_ns = 50_000_000
    start = world.requests[0].start_ns
    assert [tick.stamp_ns - start for tick in world.ticks] == [i * period_ns for i in range(12)]
    assert [request.stamp_ns - start for request in world.requests] == [
        request.step * period_ns for request in world.requests
    ]
    # one observation per request, with its stamp, and one of the end
    assert world.observations == [r.stamp_ns for r in world.requests] + [start + 12 * period_ns]


def test_a_chunk_shorter_than_execute_steps_brings_the_next_request_forward(world, run):
    FakePolicy(world, horizon=3)
    result = run(execute_steps=5)
    assert [request.step for request in world.requests] == [0, 3, 6, 9]
    assert result.progress.counts.held_ticks == 0


def test_two_lockstep_runs_with_different_delays_execute_the_same_bits(world, run, environment):
    FakePolicy(world, delay=0.01)
    first = run()
    FakePolicy(world, delay=1.9)
    second = run()
    assert first.actions_sha256 == second.actions_sha256
    assert environment.resets == [("fake_suite", 0, 0, 7)] * 2


def test_lockstep_asks_again_and_then_gives_up_with_a_clear_error(world, run):
    result = run(chunk_timeout=5.0, resend_after=2.0)
    assert result.progress.status is EpisodeStatus.ERROR
    assert "no action chunk for step 0 within 5 s" in result.progress.detail
    assert result.progress.counts.resent_requests == 2
    assert {request.step for request in world.requests} == {0}
    assert world.now == pytest.approx(5.0)
    assert EpisodeStatus.HOLDING in [progress.status for progress in world.told]
    assert world.ticks == []


def test_the_error_says_why_the_last_chunk_was_refused(world, run):
    policy = FakePolicy(world)
    world.answer = lambda request: world.send(policy.chunk("another", request.step))
    result = run(chunk_timeout=1.0)
    assert "episode 'another'" in result.progress.detail
    assert result.progress.counts.dropped_chunks == 1


def test_a_replan_enters_at_the_executed_tick_in_lockstep(world, run, environment):
    policy = FakePolicy(world)

    def steer() -> None:
        if len(environment.actions) == 2:  # while tick 2 is executed
            policy.revision = 1
            world.send(policy.chunk("e1", 0))

    environment.on_step = steer
    run(execute_steps=5)
    assert executed_from(world)[:6] == [(1, 0), (1, 1), (1, 2), (2, 3), (2, 4), (3, 0)]
    assert [tick.planned.steering_revision for tick in world.ticks[:5]] == [0, 0, 0, 1, 1]
    assert [request.step for request in world.requests] == [0, 5, 10]


def test_realtime_ticks_at_the_control_rate_while_chunks_take_their_time(world, run):
    FakePolicy(world, delay=2.2 * PERIOD)
    result = run("realtime", execute_steps=5, request_lead=3)
    starts = [tick.stamp_ns - START_NS for tick in world.ticks]
    assert starts == pytest.approx([0] + [i * 50_000_000 for i in range(11)])
    # the first chunk is 2.2 periods away: ticks 0, 1 and 2 hold still, tick 3 is its row 3
    assert executed_from(world)[:4] == [None, None, None, (1, 3)]
    assert result.progress.counts.held_ticks == 3
    assert result.progress.counts.missed_deadlines == 0
    for tick in world.ticks[3:]:
        assert tick.action[0] == pytest.approx(tick.step / 1000)


def test_realtime_asks_every_execute_steps_and_goes_on_meanwhile(world, run):
    FakePolicy(world, delay=2.4 * PERIOD)
    result = run("realtime", execute_steps=5, request_lead=3)
    assert [request.step for request in world.requests] == [0, 5, 10]
    # asked for after tick 4, there 2.4 periods later: ticks 5 and 6 still come from the old chunk
    assert executed_from(world)[3:9] == [(1, 3), (1, 4), (1, 5), (1, 6), (2, 2), (2, 3)]
    assert result.progress.counts.held_ticks == 3


def test_realtime_asks_request_lead_ticks_before_a_short_chunk_ends(world, run):
    FakePolicy(world, delay=1.4 * PERIOD, horizon=5)
    result = run("realtime", execute_steps=5, request_lead=2)
    assert [request.step for request in world.requests] == [0, 3, 6, 9]
    assert result.progress.counts.held_ticks == 2, "only before the first chunk"


def test_a_silent_policy_holds_the_realtime_robot_still_and_is_counted(world, run, environment):
    result = run("realtime")
    assert result.progress.status is EpisodeStatus.FAILED
    assert result.progress.counts.held_ticks == 12
    assert np.array_equal(environment.actions, np.zeros((12, 7)))
    assert {p.status for p in world.told} >= {EpisodeStatus.RESETTING, EpisodeStatus.HOLDING}


def test_holding_keeps_the_gripper_where_it_was_commanded(world, run, environment):
    world.answer = lambda request: (
        request.step or world.send(Chunk(1, "e1", 0, 0, np.full((3, 7), 0.5, np.float32), 20.0))
    )
    run("realtime")
    assert environment.actions[1].tolist() == [0.5] * 7
    assert environment.actions[-1].tolist() == [0.0] * 6 + [0.5]


def test_realtime_asks_again_for_a_chunk_that_was_lost(world, run):
    policy = FakePolicy(world, delay=0.01)
    world.answer = lambda request: request.step and policy(request)  # the first one is lost
    result = run("realtime", resend_after=0.2)
    assert [request.step for request in world.requests][:2] == [0, 6]
    assert result.progress.counts.resent_requests == 1
    assert executed_from(world)[6] is not None or executed_from(world)[7] is not None


def test_a_slow_tick_is_a_missed_deadline_and_is_not_caught_up(world, run, environment):
    FakePolicy(world)

    starts: list[float] = []

    def stall() -> None:
        starts.append(world.now)
        if len(environment.actions) == 3:
            world.now += 3.5 * PERIOD

    environment.on_step = stall
    result = run("realtime")
    assert result.progress.counts.missed_deadlines == 1
    assert result.progress.counts.worst_lateness == pytest.approx(2.5 * PERIOD)
    assert min(np.diff(starts)) == pytest.approx(PERIOD), "ticks were executed in a burst"


@pytest.mark.parametrize("clock", ["lockstep", "realtime"])
def test_stamps_ascend_after_an_episode_that_ran_ahead_of_the_wall_clock(
    world, environment, task, clock
):
    FakePolicy(world)
    ahead = START_NS + 7_000_000_000
    goal = EpisodeGoal("e1", task, 0, 7, "reach", task.max_steps, EpisodeClock(clock))
    EpisodeRunner(goal, environment, ACTION, Pacing(20.0), world, world, world, ahead).run()
    assert world.requests[0].start_ns == ahead
    assert world.observations == sorted(world.observations)
    assert world.observations[0] == ahead


def test_an_episode_succeeds_when_the_task_says_so(world, run, environment):
    FakePolicy(world)
    environment.succeed_at = 0.07 + 0.001 + 0.002
    result = run()
    assert result.progress.status is EpisodeStatus.SUCCEEDED
    assert result.progress.step == 3


@pytest.mark.parametrize("clock", ["lockstep", "realtime"])
@pytest.mark.parametrize("cancel_at", [0.0, 0.12])
def test_an_episode_can_be_canceled_while_it_waits(world, run, clock, cancel_at):
    FakePolicy(world, delay=0.1)
    world.cancel_at = cancel_at
    result = run(clock)
    assert result.progress.status is EpisodeStatus.CANCELED
    assert world.now == pytest.approx(cancel_at)
    assert world.told[-1].status is EpisodeStatus.CANCELED


def test_a_failing_simulator_ends_the_episode_with_its_message(world, run, environment):
    FakePolicy(world)

    def fail() -> None:
        raise SimulationError("the simulator did not step within 20 s")

    environment.on_step = fail
    result = run()
    assert result.progress.status is EpisodeStatus.ERROR
    assert "did not step" in result.progress.detail


def test_actions_out_of_range_are_clipped_and_counted(world, run, environment):
    world.answer = lambda request: world.send(
        Chunk(request.step + 1, "e1", request.step, 0, np.full((10, 7), 1.5, np.float32), 20.0)
    )
    result = run()
    assert np.array_equal(environment.actions, np.ones((12, 7)))
    assert result.progress.counts.clipped_actions == 12


def test_the_hash_is_that_of_the_executed_actions(world, run, environment):
    import hashlib

    FakePolicy(world)
    result = run()
    executed = np.array(environment.actions).astype("<f4").tobytes()
    assert result.actions_sha256 == hashlib.sha256(executed).hexdigest()


def test_pictures_between_requests_come_at_image_rate(world, run):
    FakePolicy(world)
    run(image_rate=10.0)
    start = world.requests[0].start_ns
    steps = [round((stamp - start) / 50_000_000) for stamp in world.observations]
    assert [step for step in steps if step % 5] == [2, 4, 7, 9, 12]


def test_ticks_do_not_wait_for_pictures_that_are_drawn_in_the_background(world, run, renderer):
    FakePolicy(world, delay=0.4 * PERIOD)
    result = run("realtime", execute_steps=5, request_lead=3)
    starts = [tick.stamp_ns - START_NS for tick in world.ticks]
    assert starts == pytest.approx([0] + [i * 50_000_000 for i in range(11)])
    assert result.progress.counts.missed_deadlines == 0
    # drawn for 2.5 periods, inferred for 0.4: ticks 0, 1 and 2 hold still, tick 3 is its row 3
    assert executed_from(world)[:4] == [None, None, None, (1, 3)]
    assert [request.step for request in world.requests] == [0, 5]


def test_a_renderer_that_never_answers_holds_nothing_back(world, run, renderer, environment):
    renderer.takes = np.inf
    result = run("realtime")
    assert result.progress.status is EpisodeStatus.FAILED
    assert len(environment.actions) == 12 and result.progress.counts.held_ticks == 12
    assert result.progress.counts.missed_deadlines == 0
    assert world.requests == [] and world.observations == []
    assert "the last pictures are missing" in result.progress.detail


def test_a_picture_and_its_observation_carry_the_stamp_of_the_state_they_show(
    world, run, renderer, environment
):
    FakePolicy(world)
    run("realtime", image_rate=20.0)
    moved = np.cumsum([0.07, *(action[0] for action in environment.actions)])
    at_stamp = {tick.stamp_ns: moved[tick.step] for tick in world.ticks}
    assert len(world.shown) >= 4
    for stamp, (_, observation, pictures) in zip(
        world.observations[:-1], world.shown[:-1], strict=True
    ):
        assert float(pictures["agentview"]) == observation.joint_position[0]
        assert observation.joint_position[0] == pytest.approx(at_stamp[stamp])


def test_the_age_of_what_is_asked_for_is_told(world, run, renderer):
    FakePolicy(world)
    result = run("realtime")
    assert [request.age for request in world.requests] == pytest.approx(
        [2.5 * PERIOD] * len(world.requests)
    )
    for request in world.requests:
        published = next(
            at
            for at, stamp in zip((s[0] for s in world.shown), world.observations, strict=True)
            if stamp == request.stamp_ns
        )
        assert published - (request.stamp_ns - START_NS) / 1e9 == pytest.approx(request.age)
    counts = result.progress.counts
    # The view of the end waited half a period for the one before it.
    assert counts.worst_observation_age == pytest.approx(3 * PERIOD)
    assert counts.observations == len(world.observations)


def test_lockstep_draws_where_it_stands_and_its_observations_have_no_age(world, run, renderer):
    renderer.takes = np.inf
    FakePolicy(world, delay=1.0)
    run()
    assert [request.age for request in world.requests] == [0.0, 0.0, 0.0]


def test_pictures_for_people_give_way_to_those_that_are_drawn(world, run, renderer):
    renderer.takes = 3.4 * PERIOD
    FakePolicy(world)
    result = run("realtime", image_rate=20.0, execute_steps=5, request_lead=3)
    assert result.progress.counts.skipped_pictures > 0
    # step 5 is drawn for another's picture; the request follows as soon as the renderer is free
    assert world.requests[0].step == 0 and len(world.requests) >= 2
    assert result.progress.counts.resent_requests == 0


def test_a_renderer_that_is_given_up_ends_the_episode_with_its_reason(
    world, run, renderer, environment
):
    FakePolicy(world)

    def end() -> None:
        if len(environment.actions) == 4:
            renderer.broken, renderer.restarts = True, 2
            renderer.trouble = "The rendering process ended by SIGKILL."

    environment.on_step = end
    result = run("realtime")
    assert result.progress.status is EpisodeStatus.ERROR
    assert "SIGKILL" in result.progress.detail
    assert result.progress.step == 5
    assert result.progress.counts.renderer_restarts == 2


def test_success_stands_even_where_its_last_picture_is_missing(world, run, renderer, environment):
    FakePolicy(world)

    def end() -> None:
        if len(environment.actions) == 4:
            environment.succeed_at, renderer.broken = -np.inf, True

    environment.on_step = end
    result = run("realtime")
    assert result.progress.status is EpisodeStatus.SUCCEEDED
    assert "condition holds; the last pictures are missing: The rendering process" in (
        result.progress.detail
    )


def test_every_tick_says_how_late_it_was(world, run, environment):
    FakePolicy(world)

    def stall() -> None:
        if len(environment.actions) == 3:
            world.now += 1.2 * PERIOD

    environment.on_step = stall
    run("realtime")
    assert [tick.lateness for tick in world.ticks[:6]] == pytest.approx([0, 0, 0, 0, 0.01, 0])


def test_an_answer_that_comes_too_late_is_asked_for_again_at_the_next_tick(world, run):
    FakePolicy(world, delay=3.4 * PERIOD, horizon=3)
    result = run("realtime", execute_steps=3, request_lead=0, resend_after=60.0)
    assert result.progress.counts.held_ticks == 12
    # each chunk of three ticks comes after its last one; asked for after the tick that follows
    assert [request.step for request in world.requests] == [0, 5, 9]
    assert result.progress.counts.dropped_chunks == 2


class FakeHand:
    """A person who has taken over at some steps, and is silent at some of those."""

    def __init__(self, world: FakeWorld, taken: range, silent: range = range(0)) -> None:
        self.world, self._taken, self._silent = world, taken, silent

    @property
    def taken(self) -> bool:
        return len(self.world.ticks) in self._taken

    def action(self, last: np.ndarray | None) -> np.ndarray | None:
        if len(self.world.ticks) in self._silent:
            return None
        return np.array([0.5, 0, 0, 0, 0, 0, 1], np.float32)


CLOCKS = ["lockstep", "realtime"]


@pytest.mark.parametrize("clock", CLOCKS)
def test_a_person_commands_every_tick_of_a_takeover_and_the_policy_goes_on_to_infer(
    world, run, environment, clock
):
    FakePolicy(world, delay=0.01)
    result = run(clock, FakeHand(world, range(3, 8), silent=range(5, 6)), execute_steps=2)
    sources = [tick.commander for tick in world.ticks]
    assert [n for n, each in enumerate(sources) if each is Commander.PERSON] == [3, 4, 5, 6, 7]
    by_person = world.ticks[3:8]
    assert all(tick.planned is None for tick in by_person)
    assert [tick.held for tick in by_person] == [False, False, True, False, False]
    for n, tick in enumerate(world.ticks):
        np.testing.assert_array_equal(environment.actions[n], tick.action.astype(np.float64))
    assert by_person[1].action[0] == 0.5
    assert by_person[2].action.tolist() == [0, 0, 0, 0, 0, 0, 1], "still, and the gripper kept"
    assert len([r for r in world.requests if 3 <= r.step < 8]) >= 2
    assert "a person has taken over" in [told.detail for told in world.told]
    held = [tick for tick in world.ticks if tick.commander is Commander.HOLD]
    assert result.progress.counts.held_ticks == len(held)


@pytest.mark.parametrize("clock", CLOCKS)
def test_after_a_hand_back_only_a_chunk_of_an_observation_made_since_is_executed(world, run, clock):
    FakePolicy(world, delay=0.12)
    run(clock, FakeHand(world, range(2, 6)), execute_steps=8)
    after = [tick for tick in world.ticks if tick.step >= 6]
    rows = [tick for tick in after if tick.planned is not None]
    assert rows and all(row.step - row.planned.chunk_index >= 6 for row in rows)
    assert {tick.commander for tick in after if tick.planned is None} <= {Commander.HOLD}
    if clock == "lockstep":
        assert len(rows) == len(after), "simulated time waits for the new chunk"


def test_lockstep_under_a_hand_runs_no_faster_than_the_control_rate(world, run):
    FakePolicy(world)
    times: list[float] = []
    world.executed = lambda tick: (world.ticks.append(tick), times.append(world.now))
    run("lockstep", FakeHand(world, range(3, 9)), execute_steps=5)
    assert np.diff(times)[3:8] == pytest.approx(PERIOD)
    assert times[2] == 0.0 and times[11] == times[8]


def test_an_episode_in_which_nobody_takes_over_is_the_same_to_the_bit(world, run):
    FakePolicy(world)
    first = run()
    world.ticks.clear()
    FakePolicy(world)
    assert run(hand=FakeHand(world, range(0))).actions_sha256 == first.actions_sha256


@pytest.mark.parametrize("clock", ["lockstep", "realtime"])
def test_another_instruction_is_heard_at_the_next_tick_and_the_task_stays(
    world, environment, task, clock
):
    FakePolicy(world)
    goal = EpisodeGoal("e1", task, 0, 7, "reach", task.max_steps, EpisodeClock(clock))
    runner = EpisodeRunner(goal, environment, ACTION, Pacing(20.0), world, world, world)

    def executed(tick: ExecutedTick) -> None:
        world.ticks.append(tick)
        if tick.step == 6:
            runner.tell(Told("wave", 1))
            runner.tell(Told("rest", 2))

    world.executed = executed
    result = runner.run()
    said = [(r.step, r.goal.instruction, r.goal.instruction_revision) for r in world.requests]
    assert said[:3] == [(0, "reach", 0), (5, "reach", 0), (7, "rest", 2)]
    assert {instruction for _, instruction, _ in said[2:]} == {"rest"}
    assert all(request.goal.task is task for request in world.requests)
    told = [one.goal.instruction for one in world.told if one.step >= 7]
    assert told[-1] == "rest" and result.progress.goal.instruction_revision == 2
    assert [tick.planned.chunk_id for tick in world.ticks[:8]] == [1] * 5 + [2] * 2 + [3]
    assert [tick.step for tick in world.ticks] == list(range(task.max_steps))
