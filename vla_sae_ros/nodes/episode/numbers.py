"""What of an observation is no picture, on its topics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from geometry_msgs.msg import PoseStamped
from rclpy.node import Node
from sensor_msgs.msg import JointState
from std_msgs.msg import Header

from vla_sae_ros.sim.environment import Observation
from vla_sae_ros.sim.own_contract import VECTORS, VectorObservation, components
from vla_sae_ros.wire import qos
from vla_sae_ros.wire.conversions import to_joint_state, to_pose

WORLD = "world"
ARM_JOINTS = tuple(f"panda_joint{number}" for number in range(1, 8))
FINGER_JOINTS = ("finger_joint1", "finger_joint2")


class NumbersPublisher(Protocol):
    """Publishes the numbers of an observation; any thread may use it."""

    def publish(self, header: Header, observation: Observation) -> None: ...


class ArmPublisher:
    """A Panda's joints, hand and fingers."""

    def __init__(self, node: Node) -> None:
        self._joints = node.create_publisher(JointState, "joint_states", qos.OBSERVATION)
        self._pose = node.create_publisher(PoseStamped, "ee_pose", qos.OBSERVATION)
        self._gripper = node.create_publisher(JointState, "gripper", qos.OBSERVATION)

    def publish(self, header: Header, observation: Observation) -> None:
        self._joints.publish(to_joint_state(ARM_JOINTS, observation.joint_position, header))
        self._pose.publish(to_pose(observation.ee_position, observation.ee_quaternion, header))
        self._gripper.publish(to_joint_state(FINGER_JOINTS, observation.gripper_qpos, header))


class VectorPublisher:
    """Numbers under names of their own: a JointState has a header, and a name for each."""

    def __init__(self, node: Node, vectors: Mapping[str, int]) -> None:
        self._names = {name: components(name, width) for name, width in vectors.items()}
        self._publishers = {
            name: node.create_publisher(JointState, VECTORS + name, qos.OBSERVATION)
            for name in vectors
        }

    def publish(self, header: Header, observation: Observation) -> None:
        assert isinstance(observation, VectorObservation)
        for name, publisher in self._publishers.items():
            values = observation.vectors[name]
            publisher.publish(to_joint_state(self._names[name], values, header))
