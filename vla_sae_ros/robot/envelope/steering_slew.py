"""How fast a change of steering, or of who commands, may change what the arm is told to do."""

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
        self._another = False  # commands from the next tick on
        self._last: Joints = np.zeros(0)
        self._offset: Joints = np.zeros(0)

    def hold(self) -> None:
        """Note that a tick held still: a later revision is handed over to from there."""
        self._last = np.zeros_like(self._last)
        self._offset = np.zeros_like(self._offset)

    def hand_over(self) -> None:
        """Another one commands from the next tick on: hand over to it from standing still."""
        self._another = self._revision is not None

    def apply(
        self, revision: int, lead: Joints, standing: Joints | float = 0.0
    ) -> tuple[Joints, bool]:
        """Return how far the target may lead the joints, (N,) rad, and whether that was changed.

        Args:
            revision: steering revision that the command was computed with.
            lead: (N,) rad from the measured joints to the target.
            standing: (N,) rad, the lead of an arm that stays where it was sent last.
        """
        if self._another:
            self._another, self._offset = False, standing - lead
        elif self._revision is None:
            self._offset = np.zeros_like(lead)
        elif revision != self._revision:
            self._offset = self._last - lead
        self._revision = revision
        self._offset = np.sign(self._offset) * np.maximum(0.0, np.abs(self._offset) - self._step)
        self._last = lead + self._offset
        return self._last, bool(self._offset.any())
