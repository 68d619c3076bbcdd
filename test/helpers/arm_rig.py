"""One arm, one clock and a driver that only writes down what it is told."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from vla_sae_ros.robot.command import ArmCommand
from vla_sae_ros.robot.driver import Joints, RobotReading, RobotUnreachable
from vla_sae_ros.robot.droid import DroidActions
from vla_sae_ros.robot.envelope.envelope import SafetyEnvelope
from vla_sae_ros.robot.loop.cycle import ControlCycle
from vla_sae_ros.robot.mailbox import CommandMailbox
from vla_sae_ros.robot.outcome import TickOutcome
from vla_sae_ros.robot.settings import RobotSettings


class RecordingDriver:
    """Goes at once where it is sent, and writes down every call."""

    name = "recording"

    def __init__(self, q: Joints, clock: FakeClock) -> None:
        self.q, self.dq = q.copy(), np.zeros_like(q)
        self.clock = clock
        self.sent: list[Joints] = []
        self.grips: list[float] = []
        self.calls: list[str] = []
        self.fault, self.detail = "", ""
        self.in_control = False
        self.age = 0.0
        self.follows = True
        self.raises: dict[str, Exception] = {}

    def connect(self) -> None:
        self._called("connect")

    def read(self) -> RobotReading:
        if "read" in self.raises:
            raise self.raises["read"]
        return RobotReading(
            self.clock.now - self.age,
            self.q.copy(),
            self.dq.copy(),
            1.0,
            self.in_control,
            self.fault,
            self.detail,
        )

    def send(self, target: Joints) -> None:
        self._called("send")
        self.sent.append(target.copy())
        self.in_control = True
        if self.follows:
            self.q = target.copy()

    def gripper(self, closing: float) -> None:
        self.grips.append(closing)

    def stop(self) -> None:
        self._called("stop")
        self.in_control = False

    def recover(self) -> None:
        self._called("recover")
        self.fault = ""

    def close(self) -> None:
        self._called("close")

    def _called(self, what: str) -> None:
        self.calls.append(what)
        if what in self.raises:
            raise self.raises[what]


class FakeClock:
    """Stands until it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Rig:
    """An enabled arm, tick by tick, without threads."""

    settings: RobotSettings
    clock: FakeClock
    driver: RecordingDriver
    envelope: SafetyEnvelope
    mailbox: CommandMailbox
    cycle: ControlCycle
    outcomes: list[TickOutcome] = field(default_factory=list)

    def tick(self, action: Any = None, **about: Any) -> TickOutcome:
        """Let a period pass, put an action (None: nothing) in and run a tick."""
        self.clock.now += self.settings.period
        if action is not None:
            about = {"stamp": self.clock.now} | about
            self.mailbox.put(ArmCommand(values=np.asarray(action), **about))
        return self._run()

    def hold(self) -> TickOutcome:
        """Run a tick with the command to hold still."""
        self.clock.now += self.settings.period
        self.mailbox.put(ArmCommand(self.clock.now, None))
        return self._run()

    def _run(self) -> TickOutcome:
        outcome = self.cycle.tick(len(self.outcomes), self.clock.now)
        self.outcomes.append(outcome)
        if self.envelope.state().owner:
            self.envelope.renew(self.envelope.state().owner, self.settings.lease)
        return outcome


ZERO = np.zeros(8)


def action(joint: int = 0, value: float = 0.0, gripper: float = 0.0) -> Joints:
    """Return a DROID action that moves one joint, counted from 1."""
    result = ZERO.copy()
    if joint:
        result[joint - 1] = value
    result[7] = gripper
    return result


def rig_for(settings: RobotSettings, q: Joints | None = None) -> Rig:
    """Return a connected, disabled arm."""
    clock = FakeClock()
    driver = RecordingDriver(settings.reset_pose if q is None else q, clock)
    envelope = SafetyEnvelope(settings, DroidActions(), clock)
    mailbox = CommandMailbox()
    rig = Rig(settings, clock, driver, envelope, mailbox, ControlCycle(driver, envelope, mailbox))
    rig.cycle.connect()
    rig.tick()
    return rig


def without_place(settings: RobotSettings) -> RobotSettings:
    """Return settings that guard joints only."""
    return replace(settings, place=None)


def gone() -> RobotUnreachable:
    return RobotUnreachable("cable")
