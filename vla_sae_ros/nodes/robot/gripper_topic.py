"""A gripper that takes its closing as a number on a topic."""

from __future__ import annotations

from rclpy.node import Node
from std_msgs.msg import Float64

from vla_sae_ros.wire import qos

TOPIC = "gripper_command"


class TopicGripper:
    """Publishes 0 = open ... 1 = closed as std_msgs/Float64, at every command."""

    def __init__(self, node: Node) -> None:
        self._publisher = node.create_publisher(Float64, TOPIC, qos.COMMAND)

    def move(self, closing: float) -> None:
        """Ask for 0 = open ... 1 = closed."""
        self._publisher.publish(Float64(data=closing))
