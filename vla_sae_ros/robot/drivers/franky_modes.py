"""How a joint target is followed through franky: the ways to have control of a Franka."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol

import franky
import numpy as np

from vla_sae_ros.robot.driver import Joints
from vla_sae_ros.robot.settings import RobotSettings

_log = logging.getLogger(__name__)

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
STOP_STIFFNESS, STOP_TOOL_STIFFNESS = 4.0 * STIFFNESS, 4.0 * TOOL_STIFFNESS
"""(7,) [Nm/rad] and (6,) [N/m, Nm/rad] of a stop from joint impedance. Damping alone would let the
arm sink under a load that the robot does not know of: 150 mm with half a kilogram."""
STOP_DAMPING, STOP_TOOL_DAMPING = 2.0 * np.sqrt(STOP_STIFFNESS), 2.0 * np.sqrt(STOP_TOOL_STIFFNESS)
"""(7,) [Nm s/rad] and (6,) [Ns/m, Nms/rad] of the same."""
STOP_LEAD = 0.06
"""[s] of its velocity that a stopped arm goes on."""
STANDING = 0.01
"""[rad/s] below which every joint stands, so that the robot's own brake can take over."""
STANDS_FOR = 0.1
"""[s] for which it has to."""
LONGEST_STOP = 1.5
"""[s] after which the robot's own brake takes over in any case."""
_PREEMPTED = 0.05
"""[s] within which a motion that was told to end has ended."""
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

    def let_go(self, robot: franky.Robot, now: float) -> bool:
        """Let go of an arm that has braked; asked at every look, `now` in s. True: it has."""
        ...


class JointImpedance:
    """As DROID does it: a spring to the target, in joints and at the tool, at 1 kHz."""

    def __init__(self, settings: RobotSettings) -> None:
        self._limits, self._place = settings.published, settings.place
        self._motion: franky.JointImpedanceTrackingMotion | None = None
        self._braking = False
        self._brakes_since: float | None = None
        self._stands_since: float | None = None

    def follow(self, robot: franky.Robot, target: Joints) -> None:
        """Move the spring's other end to (7,) rad."""
        self._braking = False
        reference = franky.JointReference(q=target)
        if self._motion is not None and robot.is_in_control:
            self._motion.set_reference(reference)
            return
        self._motion = self._spring(STIFFNESS, DAMPING, TOOL_STIFFNESS, TOOL_DAMPING)
        self._motion.set_reference(reference)
        robot.move(self._motion, asynchronous=True)

    def brake(self, robot: franky.Robot) -> None:
        """Draw the arm to where it comes to rest, with a stiffer spring, and hold it there."""
        if self._braking:
            return
        self._motion, self._braking = None, True
        self._brakes_since = self._stands_since = None
        stop = self._spring(STOP_STIFFNESS, STOP_DAMPING, STOP_TOOL_STIFFNESS, STOP_TOOL_DAMPING)
        stop.set_reference(franky.JointReference(q=self._rest(robot)))
        robot.move(stop, asynchronous=True)

    def let_go(self, robot: franky.Robot, now: float) -> bool:
        """Hand an arm that stands over to the robot's own brake."""
        if not self._braking:
            return True
        if self._brakes_since is None:
            self._brakes_since = now
        if np.abs(np.asarray(robot.current_joint_velocities, float)).max() > STANDING:
            self._stands_since = None
        elif self._stands_since is None:
            self._stands_since = now
        stands = self._stands_since is not None and now - self._stands_since >= STANDS_FOR
        if robot.is_in_control and not stands and now - self._brakes_since < LONGEST_STOP:
            return False
        self._braking = False
        if robot.is_in_control:
            _preempt(robot)
        return True

    def _rest(self, robot: franky.Robot) -> Joints:
        """Return where to come to rest, (7,) rad: not further out than the arm is."""
        q = np.asarray(robot.current_joint_positions, float)
        ahead = q + STOP_LEAD * np.asarray(robot.current_joint_velocities, float)
        if self._place is None:
            return ahead
        here, there = self._place.workspace.outside(
            self._place.kinematics.points(np.array([q, ahead]))
        )
        return q if there > max(0.0, here) else ahead

    def _spring(
        self, stiffness: Joints, damping: Joints, tool_stiffness: Joints, tool_damping: Joints
    ) -> franky.JointImpedanceTrackingMotion:
        return franky.JointImpedanceTrackingMotion(
            stiffness=stiffness,
            damping=damping,
            cartesian_stiffness=tool_stiffness,
            cartesian_damping=tool_damping,
            lower_joint_limits=self._limits.lower,
            upper_joint_limits=self._limits.upper,
        )


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

    def let_go(self, robot: franky.Robot, now: float) -> bool:
        """Do nothing: the motion that slows it down ends by itself."""
        return True

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


def _preempt(robot: franky.Robot) -> None:
    """End a motion that does not end by itself, and take the exception with which franky says so:
    it would be raised by the next motion."""
    robot.stop()
    try:
        robot.join_motion(timeout=_PREEMPTED)
    except franky.ControlException as error:
        _log.debug("the stop has ended: %s", error)


MODES: dict[str, Callable[[RobotSettings], FollowMode]] = {
    "joint_impedance": JointImpedance,
    "joint_velocity": JointVelocity,
    "cartesian_velocity": CartesianVelocity,
}
