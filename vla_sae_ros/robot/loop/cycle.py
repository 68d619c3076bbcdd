"""What the control thread does at a tick and between ticks; the loop says when."""

from __future__ import annotations

import math
from dataclasses import replace

from vla_sae_ros.robot.admission import EnableRefused
from vla_sae_ros.robot.command import ArmCommand, CommandSource
from vla_sae_ros.robot.driver import Driver, RobotReading, RobotUnreachable
from vla_sae_ros.robot.envelope.envelope import SafetyEnvelope
from vla_sae_ros.robot.envelope.reading_guard import fault_of
from vla_sae_ros.robot.faults import stop_for_error
from vla_sae_ros.robot.outcome import Outcome
from vla_sae_ros.robot.reasons import Refused, Status, Stop


class ControlCycle:
    """Connects a source, the envelope and a driver. Not thread-safe: the control thread's own."""

    def __init__(self, driver: Driver, envelope: SafetyEnvelope, source: CommandSource) -> None:
        self._driver = driver
        self._envelope = envelope
        self._source = source
        self._following = False
        self._connected = False
        self.reading: RobotReading | None = None
        """The newest one; None without a connection."""

    @property
    def connected(self) -> bool:
        """Tell whether the driver had a connection when it was last asked."""
        return self._connected

    def connect(self) -> None:
        """Connect the driver; raises RobotUnreachable."""
        self._driver.connect()
        self._connected = True

    def tick(self, number: int, now: float) -> Outcome:
        """Read, ask the source, decide and obey; never raises."""
        self._read()
        command = self._next_command(now)
        outcome = self._envelope.tick(number, self.reading, command)
        return self._obey(outcome)

    def look(self) -> Outcome | None:
        """Read between ticks; an Outcome when that stopped the arm. Never raises."""
        self._read()
        outcome = self._envelope.watch(self.reading)
        self.let_go()
        return outcome

    def let_go(self) -> None:
        """Stop the driver if it still follows although the arm is no longer enabled."""
        if self._following and self._envelope.state().status is not Status.ENABLED:
            self._following = False
            self._driver.stop()

    def recover(self) -> None:
        """Clear the driver's faults, then the latch; the arm is disabled then.

        Raises:
            RobotFault, RobotUnreachable: of the driver.
            EnableRefused: the fault is still there.
        """
        self._driver.recover()
        self._connected = True
        self._read()
        if self.reading is None:
            raise RobotUnreachable("The robot gives no state after recovering.")
        fault = fault_of(self.reading)
        if fault is not None:
            raise EnableRefused(f"The robot is still at fault: {fault[0]}, {fault[1]}")
        self._envelope.recover()

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
        except RobotUnreachable:
            self._connected, self.reading = False, None
        except Exception as error:  # a driver's bug must stop the arm, not the thread
            self._stop(*stop_for_error(error))

    def _next_command(self, now: float) -> ArmCommand | None:
        if self.reading is None:
            return None
        try:
            return self._source.next(self.reading, now)
        except Exception as error:  # as above
            self._stop(Stop.SOURCE_ERROR, repr(error))
            return None

    def _obey(self, outcome: Outcome) -> Outcome:
        if outcome.sent is None:
            self.let_go()
            return outcome
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
        self._envelope.stop(reason, detail)
        self._following = False
        self._driver.stop()
