"""What the safety envelope made of one tick, and where it stands."""

from __future__ import annotations

from dataclasses import dataclass

from vla_sae_ros.robot.command import ArmCommand
from vla_sae_ros.robot.driver import Joints
from vla_sae_ros.robot.reasons import Limit, Refused, Status, Stop


@dataclass(frozen=True)
class TickOutcome:
    """One tick: RobotCommand.msg holds the same."""

    tick: int
    """Counts from 0 since the loop started."""
    stamp: float
    """[s] monotonic clock, when the tick began."""
    status: Status
    """After the tick."""
    command: ArmCommand | None
    """What was asked for; None when the source had nothing."""
    measured: Joints | None
    """(N,) [rad]; None without a reading."""
    requested: Joints | None = None
    """(N,) [rad] that the action asks for; None while holding or refused."""
    sent: Joints | None = None
    """(N,) [rad] for the driver; None: nothing is sent."""
    closing: float = float("nan")
    """Gripper request, 0 = open, 1 = closed; NaN while holding."""
    limits: tuple[Limit, ...] = ()
    """What made `sent` differ from `requested`."""
    refused: Refused | None = None
    stop: Stop | None = None
    """Set at the tick at which the envelope latched: the driver has to stop."""
    detail: str = ""
    """The refusal or the stop in words, with the values."""


@dataclass(frozen=True)
class EnvelopeState:
    """Where the envelope stands: RobotState.msg holds the same."""

    status: Status
    reason: Stop | None
    detail: str
    steering_revision: int
    """Of the command that was sent last, or that caused the stop."""
    owner: str
    lease_left: float
    """[s]"""
    sent: int
    limited: int
    refused: int
    held: int
    stops: int
    taken_over: bool = False
    """The owner commands by hand."""
    takeovers: int = 0
    """So far."""
    sag: str = ""
    """In words, how far the arm hangs below a target that rests; empty: it does not."""
    next_step: str = ""
    """What a person does about a stop, as sentences; empty: nothing is to be done."""

    @property
    def said(self) -> str:
        """Return what stopped the arm: its short name, and the same in words; empty: nothing."""
        if self.reason is None:
            return ""
        return f"{self.reason}: {self.detail}" if self.detail else str(self.reason)
