"""What the control loop asks for at every tick, and from whom."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from vla_sae_ros.core.commander import Commander
from vla_sae_ros.robot.driver import RobotReading


@dataclass(frozen=True)
class ArmCommand:
    """One row of an action chunk, or "hold still" (`values` is None).

    Holding is a command as well: it feeds the watchdog. A source that waits for a policy that is
    slow but alive returns it; a source that has lost its policy returns None, and the watchdog
    stops the arm.
    """

    stamp: float
    """[s] monotonic clock: when this row was due or, from a mailbox, when it was put in."""
    values: npt.NDArray[np.float64] | None
    """(A,) in the units of the loop's ActionSpace; None holds."""
    steering_revision: int = 0
    episode_id: str = ""
    chunk_id: int = 0
    chunk_index: int = 0
    commander: Commander = Commander.POLICY
    """Who asks; the envelope follows only who commands at this tick."""
    leaves_gripper: bool = False
    """The gripper stays as it is, whatever `values` say of it."""

    @property
    def source(self) -> Commander:
        """Return who commands the tick, HOLD where the policy asks for nothing."""
        idle = self.values is None and self.commander is Commander.POLICY
        return Commander.HOLD if idle else self.commander


class CommandSource(Protocol):
    """Asked once per tick, on the control thread: it must neither block nor raise."""

    def next(self, reading: RobotReading, now: float) -> ArmCommand | None:
        """Return the command for the tick that begins at `now` (monotonic, s); None: nothing."""
        ...
