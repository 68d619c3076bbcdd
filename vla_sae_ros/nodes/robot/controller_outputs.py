"""How a joint target becomes the message of a ros2_control controller."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from builtin_interfaces.msg import Duration
from geometry_msgs.msg import TwistStamped
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.robot.driver import Joints
from vla_sae_ros.robot.kinematics import FrankaKinematics
from vla_sae_ros.robot.settings import RobotSettings
from vla_sae_ros.wire.conversions import to_header

TOPICS = {
    "joint_trajectory": "/fr3_arm_controller/joint_trajectory",
    "joint_state": "/target_joint",
    "twist": "/servo_node/delta_twist_cmds",
    "forward": "forward_command",
}
"""Where each output goes by default. The forward controller's own topic is the watchdog node's."""
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
        return JointTrajectory, _trajectory(names, settings.period)
    if kind == "joint_state":
        return JointState, lambda target, _, stamp: JointState(
            header=to_header(stamp), name=list(names), position=_doubles(target)
        )
    if kind == "forward":
        return Float64MultiArray, lambda target, _, __: Float64MultiArray(data=_doubles(target))
    if settings.place is None:
        raise ConfigurationError("output:=twist needs kinematics, and this robot's file has none.")
    return TwistStamped, _twist(settings.place.kinematics, settings.period, frame)


def _trajectory(names: Sequence[str], period: float) -> MakeMessage:
    """One point, due one tick from now: when no further one comes, the controller ends there at
    rest. An empty stamp means "from now on", so the controller's clock does not matter."""
    due = Duration(sec=int(period), nanosec=round(period % 1.0 * 1e9))

    def make(target: Joints, _measured: Joints, _stamp_ns: int) -> JointTrajectory:
        point = JointTrajectoryPoint(positions=_doubles(target), time_from_start=due)
        return JointTrajectory(joint_names=list(names), points=[point])

    return make


def _twist(kinematics: FrankaKinematics, period: float, frame: str) -> MakeMessage:
    """The tool's velocity that leads from the measured joints to the target within a tick."""

    def make(target: Joints, measured: Joints, stamp_ns: int) -> TwistStamped:
        message = TwistStamped(header=to_header(stamp_ns, frame))
        here, there = kinematics.flange(measured)[:3, :3], kinematics.flange(target)[:3, :3]
        linear = (kinematics.tool(target) - kinematics.tool(measured)) / period
        angular = _rotation_vector(there @ here.T) / period
        twist = message.twist
        twist.linear.x, twist.linear.y, twist.linear.z = linear.tolist()
        twist.angular.x, twist.angular.y, twist.angular.z = angular.tolist()
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
