"""An arm that goes where it is told, at the speed it may: for dry runs and tests, no physics."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from vla_sae_ros.robot.driver import Joints, RobotReading
from vla_sae_ros.robot.limits import RobotLimits

GRIPPER_SPEED = 1.0
"""[1/s] of the gripper's whole stroke."""


class SimulatedDriver:
    """Every joint moves straight to its target at no more than its maker's velocity.

    Args:
        limits: of the maker.
        q: (N,) [rad] where it stands at first.
        clock: monotonic [s].
    """

    name = "simulated"

    def __init__(
        self, limits: RobotLimits, q: Joints, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._velocity = limits.velocity
        self._clock = clock
        self._q = q.astype(float)
        self._dq = np.zeros_like(self._q)
        self._target = self._q.copy()
        self._opening = self._opening_target = 1.0
        self._in_control = False
        self._time = clock()

    def connect(self) -> None:
        """Do nothing: it is always there."""

    def read(self) -> RobotReading:
        """Return where it is by now."""
        self._advance()
        return RobotReading(
            self._time, self._q.copy(), self._dq.copy(), self._opening, self._in_control
        )

    def send(self, target: Joints) -> None:
        """Go there, (N,) rad."""
        self._advance()
        self._target, self._in_control = target.astype(float), True

    def gripper(self, closing: float) -> None:
        """Open (0) or close (1) it."""
        self._advance()
        self._opening_target = 1.0 - closing

    def stop(self) -> None:
        """Stand where it is."""
        self._advance()
        self._target, self._in_control = self._q.copy(), False

    def recover(self) -> None:
        """Do nothing: it has no faults."""

    def close(self) -> None:
        """Stand where it is."""
        self.stop()

    def _advance(self) -> None:
        now = self._clock()
        elapsed, self._time = now - self._time, now
        if elapsed <= 0:
            return
        reach = self._velocity * elapsed
        step = np.clip(self._target - self._q, -reach, reach)
        self._q, self._dq = self._q + step, step / elapsed
        stroke = GRIPPER_SPEED * elapsed
        self._opening += float(np.clip(self._opening_target - self._opening, -stroke, stroke))
