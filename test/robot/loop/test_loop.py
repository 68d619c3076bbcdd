"""The control thread: pacing, requests, and listeners that must not hold it up."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from arm_rig import action
from patience import PATIENCE

from vla_sae_ros.robot.admission import EnableRefused
from vla_sae_ros.robot.command import ArmCommand
from vla_sae_ros.robot.driver import RobotError, RobotReading, RobotUnreachable
from vla_sae_ros.robot.drivers.simulated_driver import SimulatedDriver
from vla_sae_ros.robot.droid import DroidActions
from vla_sae_ros.robot.envelope.envelope import SafetyEnvelope
from vla_sae_ros.robot.loop.loop import ControlLoop
from vla_sae_ros.robot.loop.pacing import Pacer
from vla_sae_ros.robot.loop.sinks import Sink, SinkThread
from vla_sae_ros.robot.outcome import Outcome
from vla_sae_ros.robot.reasons import Status, Stop
from vla_sae_ros.robot.report import Report
from vla_sae_ros.robot.settings import RobotSettings


class Listener:
    """A sink that others wait on."""

    def __init__(self) -> None:
        self.reports: list[Report] = []
        self._came = threading.Condition()

    def __call__(self, report: Report) -> None:
        with self._came:
            self.reports.append(report)
            self._came.notify_all()

    def wait_for(self, wanted: Callable[[Report], bool]) -> Report:
        with self._came:
            assert self._came.wait_for(lambda: any(map(wanted, self.reports)), PATIENCE)
            return next(report for report in self.reports if wanted(report))

    def wait_for_ticks(self, count: int) -> None:
        with self._came:
            assert self._came.wait_for(
                lambda: sum(r.outcome is not None for r in self.reports) >= count, PATIENCE
            )


class Always:
    """A source that asks for the same small motion at every tick."""

    def next(self, reading: RobotReading, now: float) -> ArmCommand:
        return ArmCommand(now, np.asarray(action(1, 0.1)), steering_revision=3)


Start = Callable[..., ControlLoop]


@pytest.fixture
def start(settings: RobotSettings) -> Iterator[Start]:
    """Start loops over simulated arms; all end with the test."""
    loops: list[ControlLoop] = []

    def begin(*sinks: Sink, driver: object = None) -> ControlLoop:
        arm = driver or SimulatedDriver(settings.published, settings.reset_pose)
        envelope = SafetyEnvelope(settings, DroidActions(), time.monotonic)
        loop = ControlLoop(arm, envelope, Always(), "panda", settings.period, sinks)
        loop.start()
        loops.append(loop)
        return loop

    yield begin
    for loop in loops:
        loop.close()


def is_stop(report: Report) -> bool:
    return report.outcome is not None and report.outcome.stop is not None


def was_sent(report: Report) -> bool:
    return report.outcome is not None and report.outcome.sent is not None


def test_an_arm_is_driven_and_stopped_from_other_threads(start: Start) -> None:
    listener = Listener()
    loop = start(listener)
    listener.wait_for_ticks(1)
    loop.enable("panel", 1.0)
    report = listener.wait_for(was_sent)
    assert report.outcome.command.steering_revision == 3
    loop.stop("panel")
    state = loop.state().envelope
    assert (state.status, state.reason) == (Status.STOPPED, Stop.OPERATOR_STOP)
    with pytest.raises(EnableRefused):
        loop.enable("panel", 1.0)
    loop.recover("panel")
    assert loop.state().envelope.status is Status.DISABLED
    listener.wait_for(lambda report: report.event == "recover by panel")
    events = [report.event for report in listener.reports if report.event]
    assert events[:2] == ["enable by panel", "stop by panel"]


def test_a_lease_that_runs_out_stops_the_arm(start: Start) -> None:
    listener = Listener()
    loop = start(listener)
    listener.wait_for_ticks(1)
    loop.enable("panel", 0.1)
    assert listener.wait_for(is_stop).outcome.stop is Stop.LEASE_EXPIRED
    assert loop.state().envelope.stops == 1


def test_disabling_lets_go_of_the_arm(start: Start, settings: RobotSettings) -> None:
    listener = Listener()
    arm = SimulatedDriver(settings.published, settings.reset_pose)
    loop = start(listener, driver=arm)
    listener.wait_for_ticks(1)
    loop.enable("panel", 1.0)
    listener.wait_for(was_sent)
    loop.disable("panel")
    listener.wait_for_ticks(len(listener.reports) + 2)
    assert not arm.read().in_control


def test_a_stuck_listener_holds_nothing_up_and_its_losses_are_counted(start: Start) -> None:
    stuck, listener = threading.Event(), Listener()
    thread = SinkThread([lambda _: stuck.wait(PATIENCE) and None])
    thread.start()
    state = start(listener).state()
    for _ in range(600):
        thread.put(Report(state, None))
    assert thread.dropped >= 600 - 256 - 1
    stuck.set()
    thread.close(PATIENCE)


def test_a_broken_listener_does_not_silence_the_others(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    listener = Listener()

    def broken(report: Report) -> None:
        raise ZeroDivisionError

    start(broken, listener)
    listener.wait_for_ticks(3)
    assert "no longer called" in caplog.text


class Absent:
    """A robot that appears at the second attempt, and cannot be recovered."""

    name = "absent"

    def __init__(self, settings: RobotSettings) -> None:
        self.attempts = 0
        self._arm = SimulatedDriver(settings.published, settings.reset_pose)

    def connect(self) -> None:
        self.attempts += 1
        if self.attempts < 2:
            raise RobotUnreachable("no cable")

    def recover(self) -> None:
        raise RobotError("still broken")

    def __getattr__(self, name: str) -> object:
        return getattr(self._arm, name)


def test_a_robot_that_is_not_there_yet_is_awaited(
    start: Start, settings: RobotSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vla_sae_ros.robot.loop.loop.RECONNECT", 0.05)
    listener = Listener()
    loop = start(listener, driver=Absent(settings))
    listener.wait_for(lambda report: report.event == "no robot: no cable")
    listener.wait_for(lambda r: r.outcome is not None and r.outcome.status is Status.DISABLED)
    with pytest.raises(RobotError, match="still broken"):
        loop.recover("panel")


def test_ticks_are_due_absolutely_and_late_ones_are_counted() -> None:
    pacer = Pacer(0.1, start=50.0)
    for now in (50.0, 50.1, 50.205, 50.315, 50.4):
        assert now >= pacer.due - 1e-9
        pacer.begin(now)
    assert pacer.number == 5 and pacer.late == 1 and pacer.skipped == 0
    assert pacer.due == pytest.approx(50.5)
    assert pacer.late_percentile(100) == pytest.approx(0.015)


def test_ticks_that_were_slept_through_are_skipped_not_made_up_for() -> None:
    pacer = Pacer(0.1, start=50.0)
    pacer.begin(50.0)
    pacer.begin(50.37)
    assert pacer.skipped == 2
    assert pacer.due == pytest.approx(50.4)


def test_outcomes_carry_ascending_ticks(start: Start) -> None:
    listener = Listener()
    start(listener)
    listener.wait_for_ticks(5)
    ticks = [r.outcome.tick for r in listener.reports if isinstance(r.outcome, Outcome)]
    assert ticks == list(range(len(ticks)))
