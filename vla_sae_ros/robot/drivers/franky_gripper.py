"""Franka's own hand, for GripperThread."""

from __future__ import annotations

import franky

from vla_sae_ros.robot.driver import RobotError

SPEED = 0.1
"""[m/s]"""
FORCE = 40.0
"""[N] with which it closes."""
_CLOSED = 0.5
"""Closing above this is a grasp: the hand goes on pushing whatever it meets."""


class NotHomed(RobotError):
    """The hand does not know its own width."""


class FrankyGripper:
    """Connects at the first use, on the thread that uses it; anew after a failure."""

    def __init__(self, host: str) -> None:
        self._host = host
        self._hand: franky.Gripper | None = None

    def move(self, closing: float) -> None:
        """Open (0) or grasp (1); blocks until the hand stands."""
        hand = self._connected()
        try:
            _stroke(hand)
            if closing > _CLOSED:
                hand.grasp(0.0, SPEED, FORCE, epsilon_inner=0.0, epsilon_outer=1.0)
            else:
                hand.move(_stroke(hand) * (1.0 - closing), SPEED)
        except franky.NetworkException:
            self._hand = None
            raise

    def opening(self) -> float:
        """Return 0 = closed ... 1 = open."""
        hand = self._connected()
        try:
            return float(hand.width / _stroke(hand))
        except franky.NetworkException:
            self._hand = None
            raise

    def stop(self) -> None:
        """Break off a move or a grasp."""
        if self._hand is not None:
            self._hand.stop()

    def close(self) -> None:
        """Disconnect."""
        self._hand = None

    def _connected(self) -> franky.Gripper:
        if self._hand is None:
            self._hand = franky.Gripper(self._host)
        return self._hand


def _stroke(hand: franky.Gripper) -> float:
    """Return how far the hand opens [m]; raises NotHomed where it does not know."""
    width = float(hand.max_width)
    if not width > 0.0:
        raise NotHomed(
            "The hand reports an opening of 0 m: it was not homed since it was switched on. Home "
            "it once, with nothing between the fingers (Desk, or franky.Gripper.homing())."
        )
    return width
