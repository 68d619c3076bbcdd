"""What a machine remembers, and what it is told of the arm."""

from __future__ import annotations

from dataclasses import dataclass, field

from vla_sae_ros.robot.machine.states import State
from vla_sae_ros.robot.reasons import Stop


@dataclass
class Arm:
    """What is measured; the owner of the machine keeps it up to date before each event."""

    fresh: bool = True
    """Its newest state is of this moment."""
    braking: bool = False
    """It was told to stop and has not let go of control yet."""
    fault: str = ""
    """Why the robot itself refuses to move until it recovers; empty: it does not."""
    blocked: str = ""
    """Why it may not be enabled now: its place, its mode, a second commander; empty: it may."""


@dataclass
class Memory:
    """Everything that a machine remembers between events."""

    state: State = State.OFFLINE
    owner: str = ""
    reason: Stop | None = None
    detail: str = ""
    stops: int = 0
    """Latched stops so far."""
    last_stop: int = 0
    """Highest ticket of a stop: what was asked for before it is void."""
    last_hold: int = 0
    """Highest ticket of a disable or a recovery: an enable that was asked for before it is void."""
    last_switch: int = 0
    """Highest ticket of a takeover or a hand-back: one that was asked for before it is void."""
    going_back: bool = False
    """The enable was for a move back between the joints' ends, and for nothing else."""
    recovering: int | None = None
    """Ticket of the recovery whose asker waits for an answer."""
    driver_busy: bool = False
    """A recovery of the driver has not ended, whether somebody waits for it or not."""
    arm: Arm = field(default_factory=Arm)
