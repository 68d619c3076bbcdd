"""The control thread: pacing, requests, and listeners that must not hold it up."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

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
from vla_sae_ros.robot.outcome import TickOutcome
from vla_sae_ros.robot.reasons import Status, Stop
from vla_sae_ros.robot.report import Report
from vla_sae_ros.robot.settings import RobotSettings
from vla_sae_ros.robot.settings_file import load_robot

LEASE = PATIENCE
"""[s]"""


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

    def wait_for_ready(self) -> None:
        """Wait for a tick of a connected arm."""
        self.wait_for(lambda r: r.outcome is not None and r.outcome.status is Status.DISABLED)

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
def settings() -> RobotSettings:
    """Limits that do not run out because a busy machine is late."""
    return replace(load_robot("panda"), watchdog=PATIENCE, max_reading_age=PATIENCE, lease=PATIENCE)


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
    listener.wait_for_ready()
    loop.enable("panel", LEASE)
    report = listener.wait_for(was_sent)
    assert report.outcome.command.steering_revision == 3
    with pytest.raises(EnableRefused, match="not stopped"):
        loop.recover("panel")
    assert loop.state().envelope.status is Status.ENABLED
    loop.stop("panel")
    state = loop.state().envelope
    assert (state.status, state.reason) == (Status.STOPPED, Stop.OPERATOR_STOP)
    with pytest.raises(EnableRefused):
        loop.enable("panel", LEASE)
    loop.recover("panel")
    assert loop.state().envelope.status is Status.DISABLED
    listener.wait_for(
        lambda r: r.event == "recover by panel" and r.state.envelope.status is Status.DISABLED
    )
    events = [report.event for report in listener.reports if report.event]
    assert events == [f"{what} by panel" for what in ("enable", "recover", "stop", "recover")]


def test_a_lease_that_runs_out_stops_the_arm(start: Start) -> None:
    listener = Listener()
    loop = start(listener)
    listener.wait_for_ready()
    loop.enable("panel", 0.1)
    assert listener.wait_for(is_stop).outcome.stop is Stop.LEASE_EXPIRED
    assert loop.state().envelope.stops == 1


def test_disabling_lets_go_of_the_arm(start: Start, settings: RobotSettings) -> None:
    listener = Listener()
    arm = SimulatedDriver(settings.published, settings.reset_pose)
    loop = start(listener, driver=arm)
    listener.wait_for_ready()
    loop.enable("panel", LEASE)
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

    called: list[Report] = []

    def broken(report: Report) -> None:
        called.append(report)
        if len(called) < 3:
            raise ZeroDivisionError

    start(broken, listener)
    listener.wait_for_ticks(5)
    assert len(called) >= 5, "nor itself"
    assert caplog.text.count("a sink of the control loop failed") == 1, "said once"


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
    loop.stop("panel")
    with pytest.raises(RobotError, match="still broken"):
        loop.recover("panel")
    assert loop.state().envelope.status is Status.STOPPED


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
    ticks = [r.outcome.tick for r in listener.reports if isinstance(r.outcome, TickOutcome)]
    assert ticks == list(range(len(ticks)))


class Hanging(SimulatedDriver):
    """A driver one of whose calls does not return before it may."""

    def __init__(self, settings: RobotSettings, call: str) -> None:
        super().__init__(settings.published, settings.reset_pose)
        self.hangs, self.entered, self.may_go = call, threading.Event(), threading.Event()
        self.calls: list[str] = []
        self.told_to_stop = threading.Event()

    def send(self, target: np.ndarray) -> None:
        self.calls.append("send")
        self._hang("send")
        super().send(target)

    def recover(self) -> None:
        self.calls.append("recover")
        self._hang("recover")

    def stop(self) -> None:
        self.calls.append("stop")
        super().stop()
        self.told_to_stop.set()

    def _hang(self, call: str) -> None:
        if call == self.hangs:
            self.entered.set()
            self.may_go.wait(PATIENCE)


def test_a_stop_reaches_a_driver_whose_call_hangs_and_nothing_is_sent_after_it(
    start: Start, settings: RobotSettings
) -> None:
    listener, arm = Listener(), Hanging(settings, "send")
    loop = start(listener, driver=arm)
    listener.wait_for_ready()
    loop.enable("panel", LEASE)
    assert arm.entered.wait(PATIENCE)
    arm.told_to_stop.clear()
    loop.stop("panel")
    assert arm.told_to_stop.is_set(), "the stop is told before it is answered"
    assert loop.state().envelope.status is Status.STOPPED
    arm.may_go.set()
    listener.wait_for(lambda r: r.state.envelope.stops == 1)
    listener.wait_for_ticks(len(listener.reports) + 2)
    assert arm.calls[-1] == "stop" and arm.calls.count("send") == 1
    assert not arm.read().in_control


def test_a_stop_during_a_recovery_refuses_it_and_the_arm_stays_stopped(
    start: Start, settings: RobotSettings
) -> None:
    listener, arm = Listener(), Hanging(settings, "recover")
    loop = start(listener, driver=arm)
    listener.wait_for_ready()
    loop.stop("panel")
    refused: list[str] = []

    def recover() -> None:
        with pytest.raises(EnableRefused) as refusal:
            loop.recover("script")
        refused.append(str(refusal.value))

    thread = threading.Thread(target=recover)
    thread.start()
    assert arm.entered.wait(PATIENCE)
    arm.told_to_stop.clear()
    loop.stop("panel")
    thread.join(PATIENCE)
    assert arm.told_to_stop.is_set() and "during the recovery" in refused[0]
    with pytest.raises(EnableRefused, match="still busy"):
        loop.recover("script")
    arm.may_go.set()
    with pytest.raises(EnableRefused, match="stopped"):
        loop.enable("script", LEASE)
    listener.wait_for_ticks(len(listener.reports) + 2)
    assert loop.state().envelope.status is Status.STOPPED


def test_a_stop_voids_what_was_asked_for_before_it(start: Start) -> None:
    listener = Listener()
    loop = start(listener)
    listener.wait_for_ready()
    enable, recover = loop.ticket(), loop.ticket()
    loop.stop("panel")
    with pytest.raises(EnableRefused, match="stopped after this recover"):
        loop.recover("script", recover)
    loop.recover("script")
    with pytest.raises(EnableRefused, match="after this enable was requested"):
        loop.enable("script", LEASE, enable)
    loop.enable("script", LEASE)


def test_a_disable_voids_the_enable_that_was_asked_for_before_it(start: Start) -> None:
    listener = Listener()
    loop = start(listener)
    listener.wait_for_ready()
    asked = loop.ticket()
    loop.disable("panel")
    with pytest.raises(EnableRefused, match="disabled after this enable"):
        loop.enable("script", LEASE, asked)


class Braking(SimulatedDriver):
    """Lets go of control a few looks after it was told to stop, as a real arm does."""

    looks = 0

    def stop(self) -> None:
        if self._in_control:
            self.looks = 20
        super().stop()

    def read(self) -> RobotReading:
        self.looks = max(0, self.looks - 1)
        reading = super().read()
        return replace(reading, in_control=reading.in_control or self.looks > 0)


def test_an_enable_waits_for_an_arm_that_still_brakes(
    start: Start, settings: RobotSettings
) -> None:
    listener, arm = Listener(), Braking(settings.published, settings.reset_pose)
    loop = start(listener, driver=arm)
    listener.wait_for_ready()
    loop.enable("panel", LEASE)
    listener.wait_for(was_sent)
    loop.disable("panel")
    loop.enable("panel", LEASE)
    assert arm.looks == 0, "it stands"
    count = len(listener.reports)
    listener.wait_for_ticks(count + 3)
    assert loop.state().envelope.stops == 0


@pytest.mark.parametrize("call", ["connect", "recover", "stop"])
def test_no_exception_of_a_driver_ends_the_control_thread(
    start: Start, settings: RobotSettings, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vla_sae_ros.robot.loop.loop.RECONNECT", 0.05)
    failures = [RuntimeError("Net Exception: Socket is not connected")]

    class Raising(SimulatedDriver):
        def _raise(self, name: str) -> None:
            if name == call and failures:
                raise failures.pop()

        def connect(self) -> None:
            self._raise("connect")

        def recover(self) -> None:
            self._raise("recover")

        def stop(self) -> None:
            self._raise("stop")
            super().stop()

    listener = Listener()
    loop = start(listener, driver=Raising(settings.published, settings.reset_pose))
    listener.wait_for_ready()
    loop.stop("panel")
    if call == "recover":
        with pytest.raises(EnableRefused, match="Socket is not connected"):
            loop.recover("panel")
        assert loop.state().envelope.status is Status.STOPPED
    loop.recover("panel")
    assert not failures and loop.state().envelope.status is Status.DISABLED
    listener.wait_for_ticks(len(listener.reports) + 2)


def test_a_recovery_that_is_under_way_is_told(start: Start, settings: RobotSettings) -> None:
    listener, arm = Listener(), Hanging(settings, "recover")
    loop = start(listener, driver=arm)
    listener.wait_for_ready()
    loop.stop("panel")
    thread = threading.Thread(target=lambda: loop.recover("script"))
    thread.start()
    assert arm.entered.wait(PATIENCE)
    listener.wait_for(lambda r: r.state.envelope.detail == "stopped by panel; recovering")
    assert loop.state().envelope.status is Status.STOPPED
    arm.may_go.set()
    thread.join(PATIENCE)
    assert loop.state().envelope.detail == ""


class SilentAtFirst(SimulatedDriver):
    """Its first attempt to connect never returns: a peer that accepts and then says nothing."""

    def __init__(self, settings: RobotSettings) -> None:
        super().__init__(settings.published, settings.reset_pose)
        self.attempts, self.may_go = 0, threading.Event()

    def connect(self) -> None:
        self.attempts += 1
        if self.attempts == 1:
            self.may_go.wait(PATIENCE)


def test_a_peer_that_accepts_and_says_nothing_is_told_and_a_good_robot_found_later(
    start: Start, settings: RobotSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vla_sae_ros.robot.loop.loop.CONNECTING", 0.2)
    monkeypatch.setattr("vla_sae_ros.robot.loop.loop.RECONNECT", 0.05)
    listener, driver = Listener(), SilentAtFirst(settings)
    loop = start(listener, driver=driver)
    told = listener.wait_for(lambda r: "Nothing answers" in r.event)
    assert told.state.envelope.status is Status.OFFLINE
    listener.wait_for_ready()
    assert driver.attempts == 2
    driver.may_go.set()
    loop.enable("panel", LEASE)


def test_the_end_does_not_wait_for_a_peer_that_says_nothing(
    start: Start, settings: RobotSettings
) -> None:
    listener, driver = Listener(), SilentAtFirst(settings)
    loop = start(listener, driver=driver)
    listener.wait_for_ticks(2)
    with pytest.raises(EnableRefused, match="offline"):
        loop.enable("panel", LEASE)
    loop.close()
    assert not loop._thread.is_alive()
    driver.may_go.set()
