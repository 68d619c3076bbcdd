"""What a Franka takes from its controller, and the flag it sets when it does not.

Limits and conditions: Franka's FCI documentation, "Robot and interface specifications": commands
must keep position, velocity, acceleration and torque-rate limits; after 20 commands missed in a row
the motion is aborted.
"""

from __future__ import annotations

import numpy as np

from vla_sae_ros.robot.driver import Joints
from vla_sae_ros.robot.limits import RobotLimits

TICK = 0.001
"""[s]"""
MOST_MISSED = 20
"""Commands in a row; at this many the motion is aborted."""
TORQUE = np.array([87.0, 87.0, 87.0, 87.0, 12.0, 12.0, 12.0])
"""(7,) [Nm]"""
TORQUE_RATE = 1000.0
"""[Nm/s]"""
_TOLERANCE = 1.02
"""Commands are rounded, and the robot's own checks have some play too."""


class MissedCommands:
    """Counts the ticks without a command, and how many of the last 100 had one."""

    def __init__(self) -> None:
        self.in_a_row = 0
        self.total = 0
        self.longest = 0
        self._success = 1.0

    def start(self) -> None:
        """Begin a motion."""
        self.in_a_row, self._success = 0, 1.0

    def tick(self, came: bool) -> bool:
        """Note a tick; True when the motion has to be aborted."""
        self._success += 0.01 * (came - self._success)
        if came:
            self.in_a_row = 0
            return False
        self.in_a_row += 1
        self.total += 1
        self.longest = max(self.longest, self.in_a_row)
        return self.in_a_row >= MOST_MISSED

    @property
    def success_rate(self) -> float:
        """Return the share of recent ticks that had a command, as the robot reports it."""
        return self._success


class CommandRules:
    """Judges commands against the published limits of one robot."""

    def __init__(self, limits: RobotLimits) -> None:
        self._limits = limits

    def velocity(self, q: Joints, dq: Joints, last: Joints, ticks: int) -> str:
        """Return the flag for a commanded (7,) rad/s, `ticks` after `last`; empty: fine."""
        if not np.isfinite(dq).all():
            return "joint_motion_generator_velocity_limits_violation"
        low, high = self._limits.velocity_range(q)
        if (dq > high * _TOLERANCE + 1e-3).any() or (dq < low * _TOLERANCE - 1e-3).any():
            return "joint_motion_generator_velocity_limits_violation"
        if (np.abs(dq - last) > self._limits.acceleration * _TOLERANCE * TICK * ticks).any():
            return "joint_motion_generator_velocity_discontinuity"
        return ""

    def torque(self, tau: Joints, last: Joints, ticks: int) -> str:
        """Return the flag for a commanded (7,) Nm, without gravity; empty: fine."""
        if not np.isfinite(tau).all() or (np.abs(tau) > TORQUE * _TOLERANCE).any():
            return "tau_j_range_violation"
        if (np.abs(tau - last) > TORQUE_RATE * _TOLERANCE * TICK * ticks).any():
            return "controller_torque_discontinuity"
        return ""

    def measured(self, q: Joints, dq: Joints) -> str:
        """Return the flag for where the arm is and how fast it moves; empty: fine."""
        if (q < self._limits.lower).any() or (q > self._limits.upper).any():
            return "joint_position_limits_violation"
        low, high = self._limits.velocity_range(q)
        play = 0.1 * self._limits.velocity
        if (dq > high + play).any() or (dq < low - play).any():
            return "joint_velocity_violation"
        return ""
