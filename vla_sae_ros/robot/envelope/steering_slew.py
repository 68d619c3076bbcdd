"""How fast a change of steering may change what the arm is told to do."""

from __future__ import annotations

import numpy as np

from vla_sae_ros.robot.driver import Joints


class SteeringSlew:
    """Hands over from what the old revision asked for to what the new one does, at a limited rate.

    The jump at a new revision is what steering changed. It is taken back as an offset that shrinks
    by `rate` per second; what the policy changes within a revision passes untouched.

    Args:
        rate: [rad/s]
        period: [s] of a tick.
    """

    def __init__(self, rate: float, period: float) -> None:
        self._step = rate * period
        self.reset()

    def reset(self) -> None:
        """Forget the past: the next command is followed as it is, whatever its revision."""
        self._revision: int | None = None
        self._last: Joints = np.zeros(0)
        self._offset: Joints = np.zeros(0)

    def hold(self) -> None:
        """Note that a tick held still: a later revision is handed over to from there."""
        self._last = np.zeros_like(self._last)
        self._offset = np.zeros_like(self._offset)

    def apply(self, revision: int, lead: Joints) -> tuple[Joints, bool]:
        """Return how far the target may lead the joints, (N,) rad, and whether that was changed.

        Args:
            revision: steering revision that the command was computed with.
            lead: (N,) rad from the measured joints to the target.
        """
        if self._revision is None:
            self._offset = np.zeros_like(lead)
        elif revision != self._revision:
            self._offset = self._last - lead
        self._revision = revision
        self._offset = np.sign(self._offset) * np.maximum(0.0, np.abs(self._offset) - self._step)
        self._last = lead + self._offset
        return self._last, bool(self._offset.any())
