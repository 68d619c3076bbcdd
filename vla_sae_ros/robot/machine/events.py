"""What can happen to an arm, and what a machine answers."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from vla_sae_ros.robot.reasons import Stop


class Kind(StrEnum):
    """Requests of clients first, then what the robot and the driver do."""

    ENABLE = "enable"
    RENEW = "renew"
    DISABLE = "disable"
    TAKE_OVER = "take over"
    """The owner commands by hand from now on."""
    HAND_BACK = "hand back"
    """The policy does again."""
    STOP = "stop"
    RECOVER = "recover"
    TROUBLE = "trouble"
    """Something measured forbids to go on; `reason` says what."""
    APPEARED = "appeared"
    """Fresh states come."""
    VANISHED = "vanished"
    """They come no more."""
    RECOVERED = "recovered"
    """The driver's recovery has ended well."""
    FAILED = "failed"
    """It has ended badly."""
    LATE = "late"
    """It has not ended in time, and may yet."""


@dataclass(frozen=True)
class Event:
    """One thing that happened."""

    kind: Kind
    asked: int = 0
    """Ticket of a request: they ascend in the order in which clients asked, whenever served."""
    owner: str = ""
    lease: float = 0.0
    """[s]"""
    way_back: bool = False
    """Of an enable: not for the policy, but for a slow move back between the joints' ends."""
    reason: Stop = Stop.OPERATOR_STOP
    detail: str = ""


class Action(StrEnum):
    """What the owner of a machine has to do, in this order, before the next event."""

    BRAKE = "brake"
    """Tell the driver to stop, whatever else it does."""
    BEGIN = "begin"
    """A new enabled stretch: forget the motion before it."""
    SWITCH = "switch"
    """Another one commands from now on: begin from where the arm is."""
    RECOVER_DRIVER = "recover driver"
    """Start the driver's recovery, where it may block."""


@dataclass(frozen=True)
class Settled:
    """An answer to a recovery that was asked for earlier; empty `refusal`: recovered."""

    asked: int
    refusal: str = ""


@dataclass(frozen=True)
class Verdict:
    """What became of an event."""

    refusal: str = ""
    """In words, why nothing has changed; empty when the event had its effect."""
    actions: tuple[Action, ...] = ()
    settled: Settled | None = None
