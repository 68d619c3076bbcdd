"""What a person's tool publishes while somebody has taken over: twists, joints, the gripper."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence

from geometry_msgs.msg import Twist, TwistStamped, Vector3
from rclpy.node import Node
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64

from vla_sae_ros.wire import qos

TWIST, JOINTS, GRIPPER = "teleop/twist", "teleop/joints", "teleop/gripper"
STATE = "bridge/takeover_state"
FRAME = "base"
"""Of a twist: where the arm is screwed on, x forward, z up."""


class PersonPublisher:
    """Lives as long as a takeover: of several tools that publish at once no command is taken."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._publishers = {
            topic: node.create_publisher(kind, topic, qos.COMMAND)
            for topic, kind in ((TWIST, TwistStamped), (JOINTS, JointState), (GRIPPER, Float64))
        }

    def twist(self, linear: Sequence[float], angular: Sequence[float]) -> None:
        """Ask for a velocity of the tool: (3,) m/s and (3,) rad/s, along and about FRAME's axes."""
        message = TwistStamped(twist=Twist(linear=_vector(linear), angular=_vector(angular)))
        message.header.frame_id = FRAME
        message.header.stamp = self._node.get_clock().now().to_msg()
        self._publishers[TWIST].publish(message)

    def joints(self, velocities: Mapping[str, float]) -> None:
        """Ask for velocities of all joints, by name [rad/s]."""
        speeds = array("d", [float(each) for each in velocities.values()])
        message = JointState(name=list(velocities), velocity=speeds)
        message.header.stamp = self._node.get_clock().now().to_msg()
        self._publishers[JOINTS].publish(message)

    def gripper(self, closing: float) -> None:
        """Ask for 0 = open ... 1 = closed."""
        self._publishers[GRIPPER].publish(Float64(data=float(closing)))

    def close(self) -> None:
        """Take the topics off the node."""
        for publisher in self._publishers.values():
            self._node.destroy_publisher(publisher)


def _vector(values: Sequence[float]) -> Vector3:
    x, y, z = (float(value) for value in values)
    return Vector3(x=x, y=y, z=z)
