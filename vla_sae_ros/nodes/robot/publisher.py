"""The topics on which a robot's bridge tells what it measures and does."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence

from geometry_msgs.msg import PoseStamped
from rclpy.node import Node
from sensor_msgs.msg import JointState

from vla_sae_ros.msg import ChunkRequest, EpisodeState, ExecutedAction, RobotCommand, RobotState
from vla_sae_ros.nodes.episode.episode import ExecutedTick, Progress, Request
from vla_sae_ros.nodes.episode.messages import to_executed, to_request, to_state
from vla_sae_ros.nodes.robot.messages import (
    to_gripper,
    to_joints,
    to_robot_command,
    to_robot_state,
    to_tool_pose,
)
from vla_sae_ros.robot.driver import RobotReading
from vla_sae_ros.robot.kinematics import FrankaKinematics
from vla_sae_ros.robot.report import LoopState, Report
from vla_sae_ros.wire import qos
from vla_sae_ros.wire.steady import follows_sim_time

STATE_PERIOD_NS = 1_000_000_000


def wall_ns(monotonic: float) -> int:
    """Return the wall clock [ns] at a moment of the monotonic clock [s]."""
    return time.time_ns() - round((time.monotonic() - monotonic) * 1e9)


class RobotPublisher:
    """Publishes on a node's relative topics; used by the thread of the loop's sinks.

    Args:
        joint_names: (N,) of `joint_states`, base to flange.
        kinematics: of the tool, for `ee_pose`; None: the topic stays silent.
        control_rate: [Hz]
    """

    def __init__(
        self,
        node: Node,
        joint_names: Sequence[str],
        kinematics: FrankaKinematics | None,
        control_rate: float,
    ) -> None:
        self._names, self._kinematics, self._control_rate = joint_names, kinematics, control_rate
        self._node = node
        self._joints = node.create_publisher(JointState, "joint_states", qos.SENSOR)
        self._gripper = node.create_publisher(JointState, "gripper", qos.SENSOR)
        self._pose = node.create_publisher(PoseStamped, "ee_pose", qos.SENSOR)
        self._requests = node.create_publisher(ChunkRequest, "policy/request", qos.CHUNK)
        self._executed = node.create_publisher(ExecutedAction, "executed_action", qos.EXECUTED)
        self._episodes = node.create_publisher(EpisodeState, "episode", qos.LATCHED)
        self._commands = node.create_publisher(RobotCommand, "robot_command", qos.EXECUTED)
        self._states = node.create_publisher(RobotState, "robot_state", qos.LATCHED)
        self._told: tuple[object, ...] = ()
        self._told_ns = 0
        self.on_state: Callable[[EpisodeState], None] | None = None
        """Also called with every state of an episode, on the thread that reports it."""

    def stamp_ns(self, monotonic: float | None = None) -> int:
        """Return the stamp [ns] of a moment of the monotonic clock [s]; None = now.

        Under use_sim_time it is what /clock says now, 0 before it has said anything: a clock that
        stands or jumps has no past to reckon back to.
        """
        if follows_sim_time(self._node):
            return int(self._node.get_clock().now().nanoseconds)
        return wall_ns(time.monotonic() if monotonic is None else monotonic)

    def reading(self, reading: RobotReading) -> int:
        """Publish the joints, the gripper and the tool; return the stamp they carry [ns].

        A gripper that does not know its opening says nothing: the policy waits for it by name.
        """
        stamp_ns = self.stamp_ns(reading.stamp)
        self._joints.publish(to_joints(reading, self._names, stamp_ns))
        if not math.isnan(reading.opening):
            self._gripper.publish(to_gripper(reading, stamp_ns))
        if self._kinematics is not None:
            self._pose.publish(to_tool_pose(self._kinematics, reading.q, stamp_ns))
        return stamp_ns

    def report(self, report: Report) -> None:
        """Publish the audit line of a tick or a stop, and the state when it differs."""
        if report.outcome is not None:
            stamp_ns = self.stamp_ns(report.outcome.stamp)
            self._commands.publish(to_robot_command(report.outcome, report.state.ticks, stamp_ns))
        self.state(report.state)

    def state(self, state: LoopState) -> None:
        """Publish the robot's state at a change and once a second."""
        envelope, now_ns = state.envelope, time.monotonic_ns()
        essence = (
            envelope.status,
            envelope.reason,
            envelope.detail,
            envelope.owner,
            envelope.stops,
        )
        if essence != self._told or now_ns - self._told_ns >= STATE_PERIOD_NS:
            self._told, self._told_ns = essence, now_ns
            self._states.publish(to_robot_state(state, self.stamp_ns()))

    def request(self, request: Request) -> None:
        """Ask for a chunk; its joints were published before."""
        self._requests.publish(to_request(request))

    def executed(self, tick: ExecutedTick) -> None:
        """Tell what was executed."""
        self._executed.publish(to_executed(tick))

    def progress(self, progress: Progress) -> None:
        """Tell how far the episode is."""
        state = to_state(progress, self._control_rate)
        self._episodes.publish(state)
        if self.on_state is not None:
            self.on_state(state)
