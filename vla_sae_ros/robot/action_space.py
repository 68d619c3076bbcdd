"""What the numbers of an action mean to an arm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from vla_sae_ros.robot.driver import Joints


@dataclass(frozen=True)
class Target:
    """What one action asks for."""

    q: Joints
    """(N,) [rad]"""
    closing: float
    """Gripper: 0 = open, 1 = closed; NaN leaves it alone."""


class ActionSpace(Protocol):
    """Turns finite actions of the right size into joint targets; a pure function."""

    @property
    def size(self) -> int:
        """Numbers per action, A."""
        ...

    def outside(self, values: Joints) -> str:
        """Return in words why these numbers (A,) cannot be meant; empty when they can."""
        ...

    def target(self, values: Joints, q: Joints) -> Target:
        """Return what (A,) asks for while (N,) rad is measured."""
        ...

    def action(self, target: Target, q: Joints) -> Joints:
        """Return the (A,) that asks for a target while (N,) rad is measured, as near as it can."""
        ...


@dataclass(frozen=True)
class JointTargets:
    """Actions that are joint positions [rad], with or without a gripper as the last number."""

    lower: Joints
    """(N,) [rad]"""
    upper: Joints
    """(N,) [rad]"""
    gripper: bool = True
    """The last number is the gripper's closing in [0, 1]."""

    @property
    def size(self) -> int:
        """N, and one more for the gripper."""
        return len(self.lower) + self.gripper

    def outside(self, values: Joints) -> str:
        """Name the first joint beyond its range; the gripper is clipped, not refused."""
        q = values[: len(self.lower)]
        wrong = np.flatnonzero((q < self.lower) | (q > self.upper))
        if not len(wrong):
            return ""
        j = int(wrong[0])
        return f"joint {j + 1} at {q[j]:.3f} rad; allowed: {self.lower[j]:g} to {self.upper[j]:g}"

    def target(self, values: Joints, q: Joints) -> Target:
        """Take the numbers as they are."""
        closing = float(np.clip(values[-1], 0.0, 1.0)) if self.gripper else float("nan")
        return Target(values[: len(self.lower)].copy(), closing)

    def action(self, target: Target, q: Joints) -> Joints:
        """Return the joints within their range, and the gripper."""
        joints = np.clip(target.q, self.lower, self.upper)
        return np.append(joints, target.closing) if self.gripper else joints
