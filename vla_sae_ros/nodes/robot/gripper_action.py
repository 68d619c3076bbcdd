"""A gripper behind the action control_msgs/GripperCommand, or one that listens to a topic."""

from __future__ import annotations

from typing import Any

from rclpy.node import Node
from std_msgs.msg import Float64

from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.wire import qos
from vla_sae_ros.wire.action_client import ActionClient

TOPIC = "gripper_command"
EFFORT = 40.0
"""[N] that it may push with."""
CHANGED = 0.05
"""Of the stroke; a smaller change of what is asked for is not sent again."""


class ActionGripper:
    """Sends the newest request as a goal, which replaces the one before; never waits.

    Args:
        width: position of an open gripper's joint [m].

    Raises:
        ConfigurationError: control_msgs is not installed.
    """

    def __init__(self, node: Node, action: str, width: float) -> None:
        try:
            from control_msgs.action import GripperCommand
        except ImportError as error:
            raise ConfigurationError(
                f"gripper:=action needs the ROS package control_msgs ({error}), which is part of "
                "a ROS installation (ros-jazzy-control-msgs) and not of the wheels. Install it, or "
                "use gripper:=none."
            ) from error
        self._goal: Any = GripperCommand.Goal
        self._width = width
        self._client = ActionClient(node, GripperCommand, action)
        self._asked = float("nan")

    def move(self, closing: float) -> None:
        """Ask for 0 = open ... 1 = closed."""
        if abs(closing - self._asked) < CHANGED or not self._client.server_is_ready():
            return
        self._asked = closing
        goal = self._goal()
        goal.command.position, goal.command.max_effort = self._width * (1.0 - closing), EFFORT
        self._client.send_goal_async(goal)


class TopicGripper:
    """Publishes 0 = open ... 1 = closed as std_msgs/Float64, at every command."""

    def __init__(self, node: Node) -> None:
        self._publisher = node.create_publisher(Float64, TOPIC, qos.COMMAND)

    def move(self, closing: float) -> None:
        """Ask for 0 = open ... 1 = closed."""
        self._publisher.publish(Float64(data=closing))
