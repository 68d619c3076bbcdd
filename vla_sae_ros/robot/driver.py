"""What every robot driver offers: the control loop knows only this."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from vla_sae_ros.core.errors import VlaSaeError

Joints = npt.NDArray[np.float64]
"""(N,) one value per joint, base to flange; N = 7 for a Franka."""


class RobotError(VlaSaeError):
    """Base of what a driver raises; nothing was sent to the robot."""


class RobotUnreachable(RobotError):
    """The robot cannot be connected to, or the connection is gone: cable, power, process."""


class RobotFault(RobotError):
    """The robot refuses to move until `recover`; `flags` names the reflexes that are set."""

    def __init__(self, message: str, flags: tuple[str, ...]) -> None:
        super().__init__(message)
        self.flags = flags
        """As libfranka spells them, e.g. ("cartesian_reflex",)."""


@dataclass(frozen=True)
class RobotReading:
    """What the robot says of itself at one moment."""

    stamp: float
    """[s] monotonic clock of this machine, when the robot's state was received."""
    q: Joints
    """(N,) [rad] measured joint positions."""
    dq: Joints
    """(N,) [rad/s] measured joint velocities."""
    opening: float
    """Gripper: 0 = closed, 1 = open; NaN when it is not known (yet)."""
    in_control: bool
    """True while the robot follows what this driver sends. False before the first `send` too."""
    fault: str = ""
    """A name from `reasons.FAULTS`, empty while nothing is wrong."""
    detail: str = ""
    """The fault in words: reflex flags, error messages."""
    blocked: str = ""
    """Why the robot cannot be moved now although nothing is wrong with it, e.g. it is being guided
    by hand; empty: it can."""


class Driver(Protocol):
    """One robot arm with its gripper. All methods are called from one thread: the control thread.

    No method but `connect` and `recover` may block for longer than a few milliseconds.
    """

    @property
    def name(self) -> str:
        """Short name for RobotState.driver, e.g. "franky", "topics", "simulated"."""
        ...

    def connect(self) -> None:
        """Connect, or connect anew after a lost connection. Nothing moves.

        Raises:
            RobotUnreachable: there is no robot, or it is not ready to be controlled.
        """
        ...

    def read(self) -> RobotReading:
        """Return the newest state. A reflex, a user stop or a lost control is in `fault`.

        Raises:
            RobotUnreachable: the connection is gone.
        """
        ...

    def send(self, target: Joints) -> None:
        """Follow this joint position, (N,) rad. It was checked: nothing is validated here.

        The first one takes control of the robot.

        Raises:
            RobotFault: a reflex is set; `recover` first.
            RobotUnreachable: the connection is gone.
        """
        ...

    def gripper(self, closing: float) -> None:
        """Move the gripper, 0 = open, 1 = closed. Never blocks; the latest request wins."""
        ...

    def stop(self) -> None:
        """Brake at once and let go of control. Harmless when nothing moves. Raises nothing."""
        ...

    def recover(self) -> None:
        """Clear reflexes, or connect anew when the connection is gone. Nothing moves.

        Raises:
            RobotFault: it cannot be cleared, e.g. the user stop is still pressed.
            RobotUnreachable: there is no connection.
        """
        ...

    def close(self) -> None:
        """Stop and disconnect; calling it twice is harmless."""
        ...
