"""How a joint target becomes the message of a ros2_control controller."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from builtin_interfaces.msg import Duration
from geometry_msgs.msg import TwistStamped
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.robot.driver import Joints
from vla_sae_ros.robot.settings import Place, RobotSettings
from vla_sae_ros.wire.conversions import to_header

TOPICS = {
    "joint_trajectory": "/fr3_arm_controller/joint_trajectory",
    "joint_state": "/target_joint",
    "twist": "/servo_node/delta_twist_cmds",
    "forward": "forward_command",
}
"""Where each output goes by default. The forward controller's own topic is the watchdog node's."""
FASTEST_TURN = 2.5
"""[rad/s] of the tool that a twist asks for at most: what Franka allows."""
DIFFERENCE = 1e-5
"""[rad] for the numerical Jacobian."""

MakeMessage = Callable[[Joints, Joints, int], Any]
"""(target (N,) rad, measured (N,) rad, stamp ns) -> message."""


def output_for(
    kind: str, settings: RobotSettings, names: Sequence[str], frame: str
) -> tuple[type, MakeMessage]:
    """Return the message class of an output and what fills it.

    Raises ConfigurationError for a twist of an arm without kinematics here.
    """
    if kind == "joint_trajectory":
        return JointTrajectory, _trajectory(names, settings)
    if kind == "joint_state":
        return JointState, lambda target, _, stamp: JointState(
            header=to_header(stamp), name=list(names), position=_doubles(target)
        )
    if kind == "forward":
        return Float64MultiArray, lambda target, _, __: Float64MultiArray(data=_doubles(target))
    if settings.place is None:
        raise ConfigurationError("output:=twist needs kinematics, and this robot's file has none.")
    return TwistStamped, _twist(settings, settings.place, frame)


def _trajectory(names: Sequence[str], settings: RobotSettings) -> MakeMessage:
    """The way to the newest target, and from there to rest as hard as our limits allow.

    The points are the middles between neighbouring targets, each with the velocity between them. A
    controller that interpolates positions and velocities by a cubic, as
    joint_trajectory_controller does, then accelerates evenly between two points, never harder than
    the targets do themselves; the arm is half a tick later. When no further message comes, it ends
    at rest on the last point. An empty stamp means "from now on", so the controller's clock does
    not matter.
    """
    period = settings.period
    last: list[Joints] = []

    def make(target: Joints, measured: Joints, _stamp_ns: int) -> JointTrajectory:
        before = last[0] if last else measured
        last[:] = [target.copy()]
        velocity = (target - before) / period
        way = [(before + target) / 2]
        speeds = [velocity]
        rest = braking(target, velocity, settings.limits.acceleration, period)
        for here, there in pairwise([target, *rest]):
            way.append((here + there) / 2)
            speeds.append((there - here) / period)
        if speeds[-1].any():
            way.append(rest[-1] if rest else target)
            speeds.append(np.zeros_like(target))
        return JointTrajectory(
            joint_names=list(names),
            points=[
                JointTrajectoryPoint(
                    positions=_doubles(q),
                    velocities=_doubles(v),
                    time_from_start=_after(k * period),
                )
                for k, (q, v) in enumerate(zip(way, speeds, strict=True), start=1)
            ],
        )

    return make


def braking(target: Joints, velocity: Joints, acceleration: Joints, period: float) -> list[Joints]:
    """Return the targets (N,) rad, a tick apart, of an arm that brakes from (N,) rad/s at `target`.

    The last two are the same: it stands.
    """
    step, way = acceleration * period, []
    while velocity.any():
        velocity = np.sign(velocity) * np.maximum(0.0, np.abs(velocity) - step)
        target = target + velocity * period
        way.append(target)
    return way


def _after(seconds: float) -> Duration:
    whole = int(seconds + 1e-9)
    return Duration(sec=whole, nanosec=max(0, round((seconds - whole) * 1e9)))


def _twist(settings: RobotSettings, place: Place, frame: str) -> MakeMessage:
    """The tool's velocity that leads from the measured joints to the target within a tick.

    An arm that is late, or held by something, is not chased: the tool is never asked for more than
    max_ee_step per tick, and turning shrinks with it.
    """
    kinematics, period = place.kinematics, settings.period
    fastest = place.max_ee_step / period

    def make(target: Joints, measured: Joints, stamp_ns: int) -> TwistStamped:
        message = TwistStamped(header=to_header(stamp_ns, frame))
        here, there = kinematics.flange(measured)[:3, :3], kinematics.flange(target)[:3, :3]
        linear = (kinematics.tool(target) - kinematics.tool(measured)) / period
        angular = _rotation_vector(there @ here.T) / period
        share = 1.0 / max(
            1.0,
            float(np.linalg.norm(linear)) / fastest,
            float(np.linalg.norm(angular)) / FASTEST_TURN,
        )
        twist = message.twist
        twist.linear.x, twist.linear.y, twist.linear.z = (share * linear).tolist()
        twist.angular.x, twist.angular.y, twist.angular.z = (share * angular).tolist()
        return message

    return make


def _rotation_vector(rotation: np.ndarray) -> np.ndarray:
    """Return axis times angle (3,) [rad] of a rotation well below half a turn."""
    axis = np.array(
        [
            rotation[2, 1] - rotation[1, 2],
            rotation[0, 2] - rotation[2, 0],
            rotation[1, 0] - rotation[0, 1],
        ]
    )
    sine = np.linalg.norm(axis) / 2
    angle = np.arctan2(sine, (np.trace(rotation) - 1) / 2)
    return axis / 2 if sine < DIFFERENCE else axis * (angle / (2 * sine))


def _doubles(values: Joints) -> array[float]:
    return array("d", np.asarray(values, np.float64).tolist())
