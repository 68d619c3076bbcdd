"""The control thread: one thread paced absolutely, which owns the machine of states."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import replace

from vla_sae_ros.robot.admission import EnableRefused
from vla_sae_ros.robot.command import CommandSource
from vla_sae_ros.robot.driver import Driver, RobotError
from vla_sae_ros.robot.envelope.envelope import SafetyEnvelope
from vla_sae_ros.robot.loop.cycle import ControlCycle
from vla_sae_ros.robot.loop.driver_calls import Done, DriverCalls
from vla_sae_ros.robot.loop.housekeeping import Housekeeping
from vla_sae_ros.robot.loop.inbox import Inbox, Request
from vla_sae_ros.robot.loop.pacing import Pacer
from vla_sae_ros.robot.loop.realtime import become_realtime
from vla_sae_ros.robot.loop.sinks import Sink, SinkThread
from vla_sae_ros.robot.loop.stopper import Stopper
from vla_sae_ros.robot.machine.events import Action, Event, Kind, Verdict
from vla_sae_ros.robot.next_steps import NEXT_STEPS
from vla_sae_ros.robot.outcome import EnvelopeState, TickOutcome
from vla_sae_ros.robot.reasons import Status, Stop
from vla_sae_ros.robot.report import LoopState, Report

NO_ROBOT = "no robot"
"""How the event begins that says why there is none."""
POLL = 0.005
"""[s] between two looks at the robot between ticks: within this time a fault is seen."""
RECONNECT = 1.0
"""[s] between two attempts to reach a robot that is not there yet."""
CONNECTING = 5.0
"""[s] after which an attempt to connect is left behind and another one is made."""
_PATIENCE = 20.0
"""[s] that a driver's recovery may take."""
_ANSWER = 3.0
"""[s] within which the control thread answers; it may wait for an arm that brakes."""
_BRAKING = 2.5
"""[s] that an enable waits for an arm that brakes."""
_SOON = 0.05
"""[s] that a tick may wait for a connection."""
_LEFT_BEHIND = 0.5
"""[s] for a call of the driver to return at the end."""
_END = 3.0
"""[s] for the control thread to end; a driver call that hangs is left behind."""

_log = logging.getLogger(__name__)


class ControlLoop:
    """Ticks at the robot's rate from `start` to `close`.

    Requests may come from any thread. They are posted to the control thread, which alone changes
    the state, and answered with what became of them within milliseconds; recover waits for the
    driver. A stop is never kept waiting: once `stop` has been called nothing is sent any more,
    and where the control thread hangs in a driver call another one stops the driver. What happens
    is told to the sinks, on a thread of their own.

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
        self._driver, self._robot = driver, robot
        self._envelope = envelope
        self._inbox = Inbox()
        self._cycle = ControlCycle(driver, envelope, source, lambda: self._inbox.last_stop)
        self._calls = DriverCalls()
        self._stopper = Stopper(driver.stop)
        self._sinks = SinkThread(sinks)
        self._clock = clock
        self._period = period
        self._pacer = Pacer(period, clock())
        self._housekeeping = Housekeeping()
        self._parked: list[tuple[float, Request]] = []
        self._recovering: tuple[float, Request] | None = None
        self._ended: deque[Callable[[], None]] = deque()
        self._closing = False
        self._next_attempt = -float("inf")
        self._connecting: float | None = None
        self._not_realtime = "not started"
        self._thread = threading.Thread(target=self._run, name="robot-control", daemon=True)

    def start(self) -> None:
        """Connect and begin to tick, on the control thread; a robot not there yet is awaited."""
        self._housekeeping.start()
        self._sinks.start()
        self._calls.start()
        self._stopper.start()
        self._thread.start()

    def ticket(self) -> int:
        """Return the number of a request that is asked for now and posted later."""
        return self._inbox.ticket()

    def enable(
        self, owner: str, lease: float, asked: int | None = None, way_back: bool = False
    ) -> None:
        """Let `owner` move the arm for `lease` s; an arm that brakes is waited for.

        Args:
            asked: a ticket; a stop or a disable that was asked for after it wins.
            way_back: move joints that stand in or beyond their margins slowly back, nothing else;
                the arm is disabled when they are there.

        Raises:
            EnableRefused: with the reason; nothing was changed.
        """
        self._post(Event(Kind.ENABLE, self._asked(asked), owner, lease, way_back))
        self._tell(f"{'way back' if way_back else 'enable'} by {owner}")

    def renew(self, owner: str, lease: float) -> None:
        """Prolong an enable; raises EnableRefused."""
        self._post(Event(Kind.RENEW, self._asked(None), owner, lease))

    def take_over(self, owner: str, asked: int | None = None) -> None:
        """Let `owner`, who has enabled the arm, command it by hand, and the policy no more.

        Args:
            asked: a ticket; a disable, takeover or hand-back that was asked for after it wins.

        Raises:
            EnableRefused: with the reason; nothing was changed.
        """
        self._post(Event(Kind.TAKE_OVER, self._asked(asked), owner))
        self._tell(f"takeover by {owner}")

    def hand_back(self, owner: str, asked: int | None = None) -> None:
        """Let the policy command again; as `take_over` otherwise."""
        self._post(Event(Kind.HAND_BACK, self._asked(asked), owner))
        self._tell(f"hand-back by {owner}")

    def disable(self, by: str) -> None:
        """Brake and refuse commands, and every enable that was asked for before."""
        self._post(Event(Kind.DISABLE, self._asked(None)))
        self._tell(f"disable by {by}")

    def stop(self, by: str, detail: str = "") -> None:
        """Brake at once and latch; returns when the driver was told."""
        event = Event(
            Kind.STOP,
            self._asked(None),
            reason=Stop.OPERATOR_STOP,
            detail=detail or f"stopped by {by}",
        )
        request = self._inbox.post(event)
        if self._thread.is_alive():
            self._stopper.demand(request.obeyed)
            request.obeyed.wait(_ANSWER)
        self._tell(f"stop by {by}")

    def recover(self, by: str, asked: int | None = None) -> None:
        """Clear faults and the latch; the arm is disabled then.

        Args:
            asked: a ticket; a stop that was asked for after it wins.

        Raises:
            RobotError: the driver could not recover.
            EnableRefused: nothing is stopped, a fault is still there, or a stop came meanwhile.
        """
        request = self._inbox.post(Event(Kind.RECOVER, self._asked(asked)))
        try:
            _result(request.answer, _PATIENCE + _ANSWER)
        finally:
            self._tell(f"recover by {by}")

    def state(self) -> LoopState:
        """Return counts, lateness and where the envelope stands."""
        pacer = self._pacer
        return LoopState(
            self._envelope_state(),
            self._driver.name,
            self._robot,
            pacer.number,
            pacer.late,
            pacer.skipped,
            pacer.late_percentile(99),
            self._sinks.dropped,
            self._not_realtime,
        )

    def close(self) -> None:
        """Stop the arm, disconnect and end the threads; what hangs is left behind."""
        self._closing = True
        self._inbox.came.set()
        if self._thread.is_alive():
            self._thread.join(_END)
            self._sinks.close(1.0)
        self._stopper.close()
        if self._thread.is_alive():
            _log.error("the control thread hangs in a driver call and is abandoned")

    def _asked(self, ticket: int | None) -> int:
        return self._inbox.ticket() if ticket is None else ticket

    def _post(self, event: Event) -> None:
        """Post a request and return when it had its effect; raises EnableRefused."""
        request = self._inbox.post(event)
        try:
            _result(request.answer, _ANSWER)
        except TimeoutError:
            raise EnableRefused(
                "The control thread does not answer: it hangs in a call of the robot's driver. "
                "Nothing was changed."
            ) from None

    def _envelope_state(self) -> EnvelopeState:
        """A stop that was asked for counts, also before the control thread has seen it."""
        state = self._envelope.state()
        if self._inbox.last_stop <= self._envelope.last_stop or state.reason is not None:
            return state
        return replace(
            state,
            status=Status.STOPPED,
            reason=Stop.OPERATOR_STOP,
            next_step=NEXT_STEPS[Stop.OPERATOR_STOP],
            owner="",
            lease_left=0.0,
        )

    def _run(self) -> None:
        self._not_realtime = become_realtime()
        self._pacer = Pacer(self._period, self._clock())
        try:
            while not self._closing:
                try:
                    self._turn()
                except Exception as error:  # a bug here must stop the arm, not the thread
                    _log.exception("the control loop failed")
                    self._cycle.request(
                        Event(Kind.TROUBLE, reason=Stop.DRIVER_ERROR, detail=repr(error))
                    )
        finally:
            self._end()

    def _turn(self) -> None:
        """Wait for a tick and carry it out."""
        self._connect_when_due()
        self._wait()
        if self._closing:
            return
        now = self._clock()
        outcome = self._cycle.tick(self._pacer.begin(now), now)
        self._serve()  # a stop may have come while the driver was busy
        self._report(outcome)
        self._housekeeping.after_tick(outcome.status is Status.ENABLED)

    def _wait(self) -> None:
        """Sleep until the next tick is due; look at the robot and serve requests meanwhile."""
        while (left := self._pacer.due - self._clock()) > 0 and not self._closing:
            self._inbox.came.wait(min(left, POLL))
            self._serve()
            if self._pacer.due - self._clock() > POLL / 2:
                self._report(self._cycle.look(self._clock()))

    def _serve(self) -> None:
        """Hand what was posted to the machine of states, stops first."""
        self._inbox.came.clear()
        for request in self._inbox.take():
            self._handle(request)
        while self._ended:
            self._ended.popleft()()
        now = self._clock()
        for deadline, request in list(self._parked):
            if not self._cycle.braking or now > deadline:
                self._parked.remove((deadline, request))
                self._answer(request, self._cycle.request(request.event))
        if self._recovering is not None and now > self._recovering[0]:
            self._settle(self._cycle.request(Event(Kind.LATE)))

    def _handle(self, request: Request) -> None:
        kind = request.event.kind
        if not request.answer.set_running_or_notify_cancel():
            return  # who asked does not wait any more
        if kind is Kind.ENABLE and self._cycle.braking:
            self._parked.append((self._clock() + _BRAKING, request))
            return
        verdict = self._cycle.request(request.event)
        if kind is Kind.STOP:
            request.obeyed.set()
        if Action.RECOVER_DRIVER not in verdict.actions:
            self._answer(request, verdict)
            return
        self._recovering = self._clock() + _PATIENCE, request
        self._cycle.note_connected(False)
        self._calls.begin(self._driver.recover, self._later(self._recovered))

    def _answer(self, request: Request, verdict: Verdict) -> None:
        if verdict.refusal:
            request.answer.set_exception(EnableRefused(verdict.refusal))
        else:
            request.answer.set_result(None)
        self._settle(verdict)

    def _settle(self, verdict: Verdict, error: Exception | None = None) -> None:
        """Answer who waits for a recovery, if that is what the verdict is about."""
        settled, recovering = verdict.settled, self._recovering
        if settled is None or recovering is None:
            return
        self._recovering = None
        if not settled.refusal:
            recovering[1].answer.set_result(None)
        elif isinstance(error, RobotError):
            recovering[1].answer.set_exception(error)
        else:
            recovering[1].answer.set_exception(EnableRefused(settled.refusal))

    def _later(self, then: Done) -> Done:
        """Return what lets the control thread hear of the end of a driver's call."""

        calls = self._calls

        def ended(error: Exception | None) -> None:
            if calls is not self._calls:
                return  # it was left behind
            self._ended.append(lambda: then(error))
            self._inbox.came.set()

        return ended

    def _recovered(self, error: Exception | None) -> None:
        verdict = Verdict()
        if error is None:
            try:
                verdict = self._cycle.recovered()
            except RobotError as silent:
                error = silent
        if error is not None:
            verdict = self._cycle.request(Event(Kind.FAILED, detail=_words(error)))
        self._settle(verdict, error)
        self._pacer.restart(self._clock())

    def _connect_when_due(self) -> None:
        """Reach for a robot that is not there; after a latched stop, `recover` does that."""
        if self._calls.busy:
            self._give_up_connecting()
            return
        if self._cycle.connected or self._envelope.state().reason is not None:
            return
        if self._clock() < self._next_attempt:
            return
        self._next_attempt = self._clock() + RECONNECT
        self._connecting = self._clock()
        self._calls.begin(self._driver.connect, self._later(self._connected))
        self._inbox.came.wait(_SOON)  # most robots answer before the next tick is due

    def _give_up_connecting(self) -> None:
        """Leave an attempt behind that hangs: a peer that accepts and then says nothing."""
        if self._connecting is None or self._clock() - self._connecting < CONNECTING:
            return
        self._connecting = None
        self._calls.close(0.0)
        self._calls = DriverCalls()
        self._calls.start()
        why = f"Nothing answers at the robot's address within {CONNECTING:g} s."
        self._envelope.offline_because(why)
        self._tell(f"{NO_ROBOT}: {why}")

    def _connected(self, error: Exception | None) -> None:
        self._connecting = None
        self._next_attempt = self._clock() + RECONNECT
        if error is None:
            self._cycle.note_connected(True)
            self._envelope.offline_because("")
            return
        self._envelope.offline_because(_words(error))
        self._tell(f"{NO_ROBOT}: {_words(error)}")

    def _end(self) -> None:
        if self._calls.close(_LEFT_BEHIND):
            self._cycle.close()
        else:
            _log.warning("the robot's driver hangs in a call and is abandoned")
            self._cycle.brake()
        self._housekeeping.stop()
        waiting = [request for _, request in self._parked] + self._inbox.take()
        if self._recovering is not None:
            waiting.append(self._recovering[1])
        for request in waiting:
            request.obeyed.set()
            if not request.answer.done():
                request.answer.set_exception(RobotError("The control loop has ended."))

    def _report(self, outcome: TickOutcome | None) -> None:
        if outcome is not None:
            self._sinks.put(Report(self.state(), self._cycle.reading, outcome))

    def _tell(self, event: str) -> None:
        self._sinks.put(Report(self.state(), self._cycle.reading, None, event))


def _words(error: Exception) -> str:
    return str(error) if isinstance(error, RobotError) else repr(error)


def _result(answer: Future[None], patience: float) -> None:
    """Wait for an answer; raises TimeoutError when nobody has begun with the request."""
    try:
        answer.result(patience)
    except TimeoutError:
        if answer.cancel():
            raise
        answer.result(patience)
