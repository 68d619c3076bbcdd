"""Franka's own hand, for GripperThread."""

from __future__ import annotations

import franky

SPEED = 0.1
"""[m/s]"""
FORCE = 40.0
"""[N] with which it closes."""
_CLOSED = 0.5
"""Closing above this is a grasp: the hand goes on pushing whatever it meets."""


class FrankyGripper:
    """Connects at the first use, on the thread that uses it; anew after a failure."""

    def __init__(self, host: str) -> None:
        self._host = host
        self._hand: franky.Gripper | None = None

    def move(self, closing: float) -> None:
        """Open (0) or grasp (1); blocks until the hand stands."""
        hand = self._connected()
        try:
            if closing > _CLOSED:
                hand.grasp(0.0, SPEED, FORCE, epsilon_inner=0.0, epsilon_outer=1.0)
            else:
                hand.move(hand.max_width * (1.0 - closing), SPEED)
        except franky.NetworkException:
            self._hand = None
            raise

    def opening(self) -> float:
        """Return 0 = closed ... 1 = open."""
        hand = self._connected()
        try:
            return float(hand.width / hand.max_width)
        except franky.NetworkException:
            self._hand = None
            raise

    def close(self) -> None:
        """Disconnect."""
        self._hand = None

    def _connected(self) -> franky.Gripper:
        if self._hand is None:
            self._hand = franky.Gripper(self._host)
        return self._hand
