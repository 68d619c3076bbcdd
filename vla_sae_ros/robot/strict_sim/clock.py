"""A clock that ticks every millisecond, absolutely, and says so when it cannot."""

from __future__ import annotations

import time

from vla_sae_ros.robot.strict_sim.rules import TICK

_FORGIVEN = 0.002
"""[s] of robot time that are caught up; what is later slips: the robot's time stands meanwhile."""


class StrictClock:
    """Sleeps until a tick is due.

    Args:
        scale: robot seconds per second; below 1 for a machine that cannot keep up.
    """

    def __init__(self, scale: float) -> None:
        self._tick = TICK / scale
        self._due = time.monotonic()
        self._started = self._due
        self.ticks = 0
        self.slipped = 0.0
        """[s] that the clock stood because this machine was too slow or too busy."""

    def wait(self) -> bool:
        """Wait for the next tick; True when the client had its time since the last one."""
        self._due += self._tick
        self.ticks += 1
        left = self._due - time.monotonic()
        if left > 0:
            time.sleep(left)
            return True
        if -left <= _FORGIVEN * self._tick / TICK:
            return False
        self.slipped -= left
        self._due -= left
        return False

    @property
    def rate(self) -> float:
        """Return the ticks per second since the start."""
        return self.ticks / max(1e-9, time.monotonic() - self._started)
