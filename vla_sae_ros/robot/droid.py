"""DROID's action semantics, rate and reset pose.

Source: github.com/droid-dataset/droid, droid/robot_ik/robot_ik_solver.py (relative_max_joint_delta,
joint_velocity_to_delta), droid/franka/robot.py (the delta is added to the measured joints),
droid/robot_env.py (control_hz, reset_joints, gripper 0 = open). pi0's DROID policies' gripper is
taken as closed above 0.5: github.com/Physical-Intelligence/openpi, examples/droid/main.py.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vla_sae_ros.robot.action_space import Target
from vla_sae_ros.robot.driver import Joints

CONTROL_RATE = 15.0
"""[Hz]"""
JOINTS = 7
MAX_JOINT_DELTA = 0.2
"""[rad] by which an action of 1 leads the measured joint: "velocities" are not rad/s."""
MAX_LINEAR_DELTA = 0.075
"""[m] per tick that DROID's own Cartesian actions allow."""
RESET_POSE = np.pi * np.array([0.0, -1 / 5, 0.0, -4 / 5, 0.0, 3 / 5, 0.0])
"""(7,) [rad]"""
CLOSED_ABOVE = 0.5


@dataclass(frozen=True)
class DroidActions:
    """7 joint "velocities", meant for [-1, 1], and the gripper: closed above 0.5."""

    nonsense_above: float = 3.0
    """An action beyond this is refused; between 1 and this all joints are scaled down alike."""

    @property
    def size(self) -> int:
        """7 joints and the gripper."""
        return JOINTS + 1

    def outside(self, values: Joints) -> str:
        """Name the largest number that no policy in its right mind gives."""
        worst = int(np.argmax(np.abs(values)))
        if abs(values[worst]) <= self.nonsense_above:
            return ""
        return (
            f"number {worst} of the action is {values[worst]:g}; allowed: "
            f"{-self.nonsense_above:g} to {self.nonsense_above:g}"
        )

    def target(self, values: Joints, q: Joints) -> Target:
        """Return measured joints plus 0.2 rad times the action, scaled down alike above 1."""
        velocity = values[:JOINTS] / max(1.0, float(np.abs(values[:JOINTS]).max()))
        closing = 1.0 if values[JOINTS] > CLOSED_ABOVE else 0.0
        return Target(q + MAX_JOINT_DELTA * velocity, closing)

    def action(self, target: Target, q: Joints) -> Joints:
        """Return the lead over the measured joints in parts of 0.2 rad, all scaled alike to 1."""
        velocity = (target.q - q) / MAX_JOINT_DELTA
        return np.append(velocity / max(1.0, float(np.abs(velocity).max())), target.closing)
