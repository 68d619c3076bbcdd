"""The control thread: one thread paced absolutely, which owns the driver."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from queue import Empty, SimpleQueue

from vla_sae_ros.robot.admission import EnableRefused
from vla_sae_ros.robot.command import CommandSource
from vla_sae_ros.robot.driver import Driver, RobotError
from vla_sae_ros.robot.envelope.envelope import SafetyEnvelope
from vla_sae_ros.robot.loop.cycle import ControlCycle
from vla_sae_ros.robot.loop.housekeeping import Housekeeping
from vla_sae_ros.robot.loop.pacing import Pacer
from vla_sae_ros.robot.loop.realtime import become_realtime
from vla_sae_ros.robot.loop.sinks import Sink, SinkThread
from vla_sae_ros.robot.outcome import Outcome
from vla_sae_ros.robot.reasons import Status, Stop
from vla_sae_ros.robot.report import LoopState, Report

POLL = 0.005
"""[s] between two looks at the robot between ticks: within this time a fault is seen."""
RECONNECT = 1.0
"""[s] between two attempts to reach a robot that is not there yet."""
_PATIENCE = 20.0
"""[s] for a request that the control thread has to carry out."""


class ControlLoop:
    """Ticks at the robot's rate from `start` to `close`.

    enable, renew, disable and stop return at once and may be called from any thread; recover waits
    for the driver. What happens is told to the sinks, on a thread of their own.

    Args:
        envelope: with the same clock.
        sinks: called with every Report.
        clock: monotonic [s].
    """

    def __init__(
        self,
        driver: Driver,
        envelope: SafetyEnvelope,
        source: CommandSource,
        robot: str,
        period: float,
        sinks: Sequence[Sink] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._driver_name, self._robot = driver.name, robot
        self._envelope = envelope
        self._cycle = ControlCycle(driver, envelope, source)
        self._sinks = SinkThread(sinks)
        self._clock = clock
        self._period = period
        self._pacer = Pacer(period, clock())
        self._housekeeping = Housekeeping()
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._requests: SimpleQueue[tuple[Callable[[], None], Future[None]]] = SimpleQueue()
        self._next_attempt = -float("inf")
        self._not_realtime = "not started"
        self._thread = threading.Thread(target=self._run, name="robot-control", daemon=True)

    def start(self) -> None:
        """Connect and begin to tick, on the control thread; a robot not there yet is awaited."""
        self._housekeeping.start()
        self._sinks.start()
        self._thread.start()

    def enable(self, owner: str, lease: float) -> None:
        """Let `owner` move the arm for `lease` s; raises EnableRefused."""
        self._envelope.enable(owner, lease)
        self._tell(f"enable by {owner}")

    def renew(self, owner: str, lease: float) -> None:
        """Prolong an enable; raises EnableRefused."""
        self._envelope.renew(owner, lease)

    def disable(self, by: str) -> None:
        """Brake and refuse commands."""
        self._envelope.disable()
        self._wake.set()
        self._tell(f"disable by {by}")

    def stop(self, by: str, detail: str = "") -> None:
        """Brake at once and latch."""
        self._envelope.stop(Stop.OPERATOR_STOP, detail or f"stopped by {by}")
        self._wake.set()
        self._tell(f"stop by {by}")

    def recover(self, by: str) -> None:
        """Clear faults and the latch; the arm is disabled then.

        Raises:
            RobotError: the driver could not recover.
            EnableRefused: a fault is still there.
        """
        done: Future[None] = Future()
        self._requests.put((self._cycle.recover, done))
        self._wake.set()
        try:
            done.result(_PATIENCE)
        except TimeoutError:
            raise RobotError(f"The robot did not recover within {_PATIENCE:g} s.") from None
        finally:
            self._tell(f"recover by {by}")

    def state(self) -> LoopState:
        """Return counts, lateness and where the envelope stands."""
        pacer = self._pacer
        return LoopState(
            self._envelope.state(),
            self._driver_name,
            self._robot,
            pacer.number,
            pacer.late,
            pacer.skipped,
            pacer.late_percentile(99),
            self._sinks.dropped,
            self._not_realtime,
        )

    def close(self) -> None:
        """Stop the arm, disconnect and end both threads."""
        self._envelope.disable()
        self._closing.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(_PATIENCE)
            self._sinks.close(1.0)

    def _run(self) -> None:
        self._not_realtime = become_realtime()
        self._pacer = Pacer(self._period, self._clock())
        try:
            while not self._closing.is_set():
                self._connect_when_due()
                self._wait()
                if self._closing.is_set():
                    return
                now = self._clock()
                outcome = self._cycle.tick(self._pacer.begin(now), now)
                self._report(outcome)
                self._housekeeping.after_tick(outcome.status is Status.ENABLED)
        finally:
            self._cycle.close()
            self._housekeeping.stop()
            self._refuse_waiting()

    def _wait(self) -> None:
        """Sleep until the next tick is due; look at the robot and serve requests meanwhile."""
        while (left := self._pacer.due - self._clock()) > 0 and not self._closing.is_set():
            if self._wake.wait(min(left, POLL)):
                self._wake.clear()
                self._serve()
                self._cycle.let_go()
            if self._pacer.due - self._clock() > POLL / 2:
                self._report(self._cycle.look())

    def _connect_when_due(self) -> None:
        """Reach for a robot that is not there; after a latched stop, `recover` does that."""
        if self._cycle.connected or self._envelope.state().reason is not None:
            return
        if self._clock() < self._next_attempt:
            return
        try:
            self._cycle.connect()
        except RobotError as error:
            self._tell(f"no robot: {error}")
        self._next_attempt = self._clock() + RECONNECT
        self._pacer.restart(self._clock())

    def _serve(self) -> None:
        while True:
            try:
                work, done = self._requests.get_nowait()
            except Empty:
                return
            try:
                work()
                done.set_result(None)
            except (RobotError, EnableRefused) as error:
                done.set_exception(error)
            self._pacer.restart(self._clock())

    def _refuse_waiting(self) -> None:
        while not self._requests.empty():
            self._requests.get_nowait()[1].set_exception(RobotError("The control loop has ended."))

    def _report(self, outcome: Outcome | None) -> None:
        if outcome is not None:
            self._sinks.put(Report(self.state(), self._cycle.reading, outcome))

    def _tell(self, event: str) -> None:
        self._sinks.put(Report(self.state(), self._cycle.reading, None, event))
