"""How a joint target is followed through franky: the ways to have control of a Franka."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import franky
import numpy as np

from vla_sae_ros.robot.driver import Joints
from vla_sae_ros.robot.settings import RobotSettings

STIFFNESS = np.array([40.0, 30.0, 50.0, 25.0, 35.0, 25.0, 10.0])
"""(7,) [Nm/rad] DROID's Kq: github.com/droid-dataset/droid, config/panda/franka_hardware.yaml."""
DAMPING = np.array([4.0, 6.0, 5.0, 5.0, 3.0, 2.0, 1.0])
"""(7,) [Nm s/rad] DROID's Kqd; same source."""
TOOL_STIFFNESS = np.array([400.0, 400.0, 400.0, 15.0, 15.0, 15.0])
"""(6,) [N/m, Nm/rad] DROID's Kx; same source."""
TOOL_DAMPING = np.array([37.0, 37.0, 37.0, 2.0, 2.0, 2.0])
"""(6,) [Ns/m, Nms/rad] DROID's Kxd; same source."""
COLLISION = 40.0
"""[Nm, N] at which the robot's own reflex stops it; DROID's, same source."""

TOOL_LIMITS = {
    "translation_velocity_limit": 0.5,
    "translation_acceleration_limit": 1.0,
    "translation_jerk_limit": 20.0,
    "rotation_velocity_limit": 1.0,
    "rotation_acceleration_limit": 2.0,
    "rotation_jerk_limit": 40.0,
}
"""[m/s ... rad/s^3] for Cartesian velocity, well below what Franka allows: near a stretched arm the
joints move much faster than the tool."""

_TOOL_VELOCITY = 0.99 * np.repeat(
    [TOOL_LIMITS["translation_velocity_limit"], TOOL_LIMITS["rotation_velocity_limit"]], 3
)
STOP_DAMPING = 3.0 * DAMPING
"""(7,) [Nm s/rad] of a stop from joint impedance."""
STOP_RAMP = 0.05
"""[s] from the spring's torque to damping alone."""
HOLD_MS = 200
"""[ms] for which a velocity is held without a new one: a watchdog in the robot's own thread."""
_LATENCY = 0.02
"""[s] until a new velocity is in force, and its jerk-limited ramp."""
_PULL = 3.0
"""[1/s] by which an arm that is behind the targets is drawn after them."""


class FollowMode(Protocol):
    """One way of following; a fresh object per connection."""

    def follow(self, robot: franky.Robot, target: Joints) -> None:
        """Go on to (7,) rad; the first time, take control."""
        ...

    def brake(self, robot: franky.Robot) -> None:
        """Come to rest and let go of control; returns at once."""
        ...


class JointImpedance:
    """As DROID does it: a spring to the target, in joints and at the tool, at 1 kHz."""

    def __init__(self, settings: RobotSettings) -> None:
        self._limits = settings.published
        self._motion: franky.JointImpedanceTrackingMotion | None = None

    def follow(self, robot: franky.Robot, target: Joints) -> None:
        """Move the spring's other end to (7,) rad."""
        reference = franky.JointReference(q=target)
        if self._motion is not None and robot.is_in_control:
            self._motion.set_reference(reference)
            return
        self._motion = franky.JointImpedanceTrackingMotion(
            stiffness=STIFFNESS,
            damping=DAMPING,
            cartesian_stiffness=TOOL_STIFFNESS,
            cartesian_damping=TOOL_DAMPING,
            lower_joint_limits=self._limits.lower,
            upper_joint_limits=self._limits.upper,
        )
        self._motion.set_reference(reference)
        robot.move(self._motion, asynchronous=True)

    def brake(self, robot: franky.Robot) -> None:
        """Let the spring go and damp."""
        self._motion = None
        stop = franky.TorqueStopMotion(damping=STOP_DAMPING, ramp_duration=STOP_RAMP)
        robot.move(stop, asynchronous=True)


class JointVelocity:
    """The velocity of the targets, under the robot's own controller; wants one per tick."""

    def __init__(self, settings: RobotSettings) -> None:
        self._highest = settings.limits.velocity
        self._period = settings.period
        self._last: Joints | None = None

    def follow(self, robot: franky.Robot, target: Joints) -> None:
        """Hold the velocity that leads to (7,) rad, for HOLD_MS at most."""
        velocity = self._velocity(robot, target)
        motion = franky.JointVelocityMotion(velocity, duration=franky.Duration(HOLD_MS))
        robot.move(motion, asynchronous=True)

    def brake(self, robot: franky.Robot) -> None:
        """Slow down within the limits."""
        robot.move(franky.JointVelocityStopMotion(), asynchronous=True)

    def _velocity(self, robot: franky.Robot, target: Joints) -> Joints:
        """Return the targets' own velocity, corrected for where the arm really is."""
        q = np.asarray(robot.current_joint_positions, float)
        last = q if self._last is None or not robot.is_in_control else self._last
        self._last = target.copy()
        wanted = (target - last) / self._period
        # An arm that ramps its velocity within a tick is half a tick behind. To make up for that
        # while it moves is to overshoot when it brakes.
        behind = last - q - wanted * (self._period / 2 + _LATENCY)
        velocity = wanted + _PULL * behind
        return np.clip(velocity, -self._highest, self._highest)


class CartesianVelocity(JointVelocity):
    """The tool's velocity that the joint velocity would give; the elbow is left to the robot."""

    def follow(self, robot: franky.Robot, target: Joints) -> None:
        """Hold the tool velocity that leads to (7,) rad, for HOLD_MS at most."""
        jacobian = robot.model.zero_jacobian(franky.Frame.EndEffector, robot.state)
        twist = np.asarray(jacobian) @ self._velocity(robot, target)
        twist /= max(1.0, np.abs(twist / _TOOL_VELOCITY).max())
        velocity = franky.Twist(twist[:3], twist[3:])
        motion = franky.CartesianVelocityMotion(velocity, duration=franky.Duration(HOLD_MS))
        robot.move(motion, asynchronous=True)

    def brake(self, robot: franky.Robot) -> None:
        """Slow down within the limits."""
        robot.move(franky.CartesianVelocityStopMotion(), asynchronous=True)


MODES: dict[str, Callable[[RobotSettings], FollowMode]] = {
    "joint_impedance": JointImpedance,
    "joint_velocity": JointVelocity,
    "cartesian_velocity": CartesianVelocity,
}
