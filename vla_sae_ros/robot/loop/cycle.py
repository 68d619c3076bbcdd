"""What the control thread does at a tick and between ticks; the loop says when."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from vla_sae_ros.robot.admission import EnableRefused
from vla_sae_ros.robot.command import ArmCommand, CommandSource
from vla_sae_ros.robot.driver import Driver, RobotReading, RobotUnreachable
from vla_sae_ros.robot.envelope.envelope import SafetyEnvelope
from vla_sae_ros.robot.faults import stop_for_error
from vla_sae_ros.robot.machine.events import Action, Event, Kind, Verdict
from vla_sae_ros.robot.outcome import TickOutcome
from vla_sae_ros.robot.reasons import Refused, Status, Stop

REST = 2.0
"""[s] after which an arm that was told to stop counts as standing, whatever it says."""
STANDING = 0.02
"""[rad/s] below which every joint stands."""

_log = logging.getLogger(__name__)


class ControlCycle:
    """Connects a source, the envelope and a driver. Not thread-safe: the control thread's own.

    Args:
        stop_asked: highest ticket of a stop that anybody has asked for, served or not: nothing is
            sent once it is higher than that of the last one served.
    """

    def __init__(
        self,
        driver: Driver,
        envelope: SafetyEnvelope,
        source: CommandSource,
        stop_asked: Callable[[], int] = lambda: 0,
    ) -> None:
        self._driver = driver
        self._envelope = envelope
        self._source = source
        self._stop_asked = stop_asked
        self._following = False
        self._connected = False
        self._told_to_stop: float | None = None
        self._now = 0.0
        self.reading: RobotReading | None = None
        """The newest one; None without a connection."""

    @property
    def connected(self) -> bool:
        """Tell whether the driver had a connection when it was last asked."""
        return self._connected

    @property
    def braking(self) -> bool:
        """Tell whether the arm was told to stop and has not come to rest."""
        return self._told_to_stop is not None

    def connect(self) -> None:
        """Connect the driver, here and now; raises RobotUnreachable."""
        self._driver.connect()
        self.note_connected(True)

    def note_connected(self, connected: bool) -> None:
        """Take note of a connection that was made, or is being made, elsewhere."""
        self._connected = connected
        if not connected:
            self.reading = None

    def request(self, event: Event) -> Verdict:
        """Let an event have its effect, and brake where that says so."""
        verdict = self._envelope.request(event)
        if Action.BRAKE in verdict.actions:
            self.brake()
        return verdict

    def tick(self, number: int, now: float) -> TickOutcome:
        """Read, ask the source, decide and obey; never raises."""
        self._now = now
        self._read()
        command = self._next_command(now)
        outcome = self._envelope.tick(number, self.reading, command)
        return self._obey(outcome)

    def look(self, now: float | None = None) -> TickOutcome | None:
        """Read between ticks; a TickOutcome when that stopped the arm. Never raises."""
        self._now = self._now if now is None else now
        self._read()
        outcome = self._envelope.watch(self.reading)
        self.let_go()
        return outcome

    def let_go(self) -> None:
        """Stop the driver if it still follows although the arm is no longer enabled."""
        if self._following and self._envelope.state().status is not Status.ENABLED:
            self.brake()

    def brake(self) -> None:
        """Tell the driver to stop, whatever it does; never raises."""
        if self._following:
            self._told_to_stop = self._now
            self._envelope.braking(True)
        self._following = False
        try:
            self._driver.stop()
        except Exception:  # a driver's bug; the latch stays and the robot's own watchdog is left
            _log.exception("the driver's stop call raised an error")

    def recover(self) -> None:
        """Clear the driver's faults, then the latch, here and now; the arm is disabled then.

        Raises:
            RobotFault, RobotUnreachable: of the driver.
            EnableRefused: nothing is stopped, or the fault is still there.
        """
        verdict = self._envelope.request(Event(Kind.RECOVER, self._envelope.ticket()))
        if verdict.refusal:
            raise EnableRefused(verdict.refusal)
        try:
            self._driver.recover()
            refusal = self.recovered().refusal
        except Exception as error:
            self._envelope.request(Event(Kind.FAILED, detail=str(error)))
            raise
        if refusal:
            raise EnableRefused(refusal)

    def recovered(self) -> Verdict:
        """Look whether the driver's recovery has helped; the verdict says why not.

        Raises RobotUnreachable where the robot is silent.
        """
        self._connected = True
        self._read()
        if self.reading is None:
            raise RobotUnreachable("The robot reports no state after the recovery.")
        self._envelope.look_at(self.reading)
        return self.request(Event(Kind.RECOVERED))

    def close(self) -> None:
        """Stop and disconnect."""
        self._following = False
        self._driver.close()

    def _read(self) -> None:
        if not self._connected:
            self.reading = None
            return
        try:
            self.reading = self._driver.read()
        except RobotUnreachable as error:
            self._connected, self.reading = False, None
            self._envelope.offline_because(str(error))
        except Exception as error:  # a driver's bug must stop the arm, not the thread
            self._stop(*stop_for_error(error))
        self._note_rest()

    def _note_rest(self) -> None:
        """An arm that brakes is left alone until it stands: a motion begins from rest."""
        if self._told_to_stop is None:
            return
        reading = self.reading
        still = (
            reading is not None
            and not reading.in_control
            and bool((np.abs(reading.dq) < STANDING).all())
        )
        if still or self._now - self._told_to_stop > REST:
            self._told_to_stop = None
            self._envelope.braking(False)

    def _next_command(self, now: float) -> ArmCommand | None:
        if self.reading is None:
            return None
        try:
            return self._source.next(self.reading, now)
        except Exception as error:  # as above
            self._stop(Stop.SOURCE_ERROR, repr(error))
            return None

    def _obey(self, outcome: TickOutcome) -> TickOutcome:
        if outcome.sent is None:
            self.let_go()
            return outcome
        if self._stop_asked() > self._envelope.last_stop:
            return replace(outcome, sent=None, refused=Refused.STOPPED)
        try:
            self._following = True
            self._driver.send(outcome.sent)
            if not math.isnan(outcome.closing):
                self._driver.gripper(outcome.closing)
        except Exception as error:  # as above; what a driver means to raise is mapped by its class
            reason, detail = stop_for_error(error)
            self._stop(reason, detail)
            return replace(
                outcome,
                status=Status.STOPPED,
                sent=None,
                refused=Refused.STOPPED,
                stop=reason,
                detail=detail,
            )
        return outcome

    def _stop(self, reason: Stop, detail: str) -> None:
        self.request(Event(Kind.TROUBLE, reason=reason, detail=detail))
