"""What a robot's joints allow, as its maker publishes it.

Sources: Franka's FCI documentation, "Robot and interface specifications", limits for Panda and for
Franka Research 3 (frankarobotics.github.io/docs/control_parameters.html; the same numbers stand in
libfranka's rate_limiting.h and in franka_description's joint_limits.yaml).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from vla_sae_ros.robot.driver import Joints


@dataclass(frozen=True)
class EdgeVelocity:
    """FR3: the velocity allowed falls towards the ends of the joint range.

    Upwards sqrt(gain * (upper - q)) - offset, downwards sqrt(gain * (q - lower)) - offset; never
    below 0, never above the joint's velocity limit.
    """

    gain: Joints
    """(N,) [rad/s^2]"""
    offset: Joints
    """(N,) [rad/s]"""
    lower: Joints
    """(N,) [rad]"""
    upper: Joints
    """(N,) [rad]"""


@dataclass(frozen=True)
class RobotLimits:
    """Joint limits of one robot; all arrays (N,)."""

    name: str
    lower: Joints
    """[rad]"""
    upper: Joints
    """[rad]"""
    velocity: Joints
    """[rad/s]"""
    acceleration: Joints
    """[rad/s^2]"""
    jerk: Joints
    """[rad/s^3]"""
    edge: EdgeVelocity | None = None

    def scaled(self, velocity: float, acceleration: float, jerk: float) -> RobotLimits:
        """Return our own, smaller limits: factors in (0, 1]. Ranges stay."""
        return replace(
            self,
            velocity=self.velocity * velocity,
            acceleration=self.acceleration * acceleration,
            jerk=self.jerk * jerk,
        )

    def velocity_range(self, q: Joints) -> tuple[Joints, Joints]:
        """Return the lowest and the highest velocity (N,) [rad/s] that the robot allows at (N,)."""
        if self.edge is None:
            return -self.velocity, self.velocity
        edge = self.edge
        up = np.sqrt(np.maximum(0.0, edge.gain * (edge.upper - q))) - edge.offset
        down = np.sqrt(np.maximum(0.0, edge.gain * (q - edge.lower))) - edge.offset
        return -np.clip(down, 0.0, self.velocity), np.clip(up, 0.0, self.velocity)


PANDA = RobotLimits(
    "panda",
    lower=np.array([-2.8973, -1.7628, -2.8973, -3.0718, -2.8973, -0.0175, -2.8973]),
    upper=np.array([2.8973, 1.7628, 2.8973, -0.0698, 2.8973, 3.7525, 2.8973]),
    velocity=np.array([2.1750, 2.1750, 2.1750, 2.1750, 2.6100, 2.6100, 2.6100]),
    acceleration=np.array([15.0, 7.5, 10.0, 12.5, 15.0, 20.0, 20.0]),
    jerk=np.array([7500.0, 3750.0, 5000.0, 6250.0, 7500.0, 10000.0, 10000.0]),
)

FR3 = RobotLimits(
    "fr3",
    lower=np.array([-2.7437, -1.7837, -2.9007, -3.0421, -2.8065, 0.5445, -3.0159]),
    upper=np.array([2.7437, 1.7837, 2.9007, -0.1518, 2.8065, 4.5169, 3.0159]),
    velocity=np.array([2.62, 2.62, 2.62, 2.62, 5.26, 4.18, 5.26]),
    acceleration=np.full(7, 10.0),
    jerk=np.full(7, 5000.0),
    edge=EdgeVelocity(
        gain=np.array([12.0, 5.17, 7.0, 8.0, 34.0, 11.0, 34.0]),
        offset=np.array([0.30, 0.20, 0.20, 0.30, 0.35, 0.35, 0.35]),
        lower=np.array([-2.7501, -1.7918, -2.9065, -3.0481, -2.8101, 0.54092, -3.0196]),
        upper=np.array([2.7501, 1.7918, 2.9065, -0.1458, 2.8101, 4.5205, 3.0196]),
    ),
)

PUBLISHED = {limits.name: limits for limits in (PANDA, FR3)}
"""By the names that config/robots/*.yaml uses."""
