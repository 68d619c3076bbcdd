"""Another node that publishes where the controller listens: refused at enable, and named."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from patience import eventually
from rclpy.node import Node
from robot_bench import RobotBench
from sensor_msgs.msg import JointState
from trajectory_msgs.msg import JointTrajectory

from vla_sae_ros.msg import RobotState
from vla_sae_ros.nodes.robot.topic_driver import FR3_JOINTS, TopicDriver
from vla_sae_ros.robot.settings import RobotSettings
from vla_sae_ros.wire import qos

TOPIC = "/fr3_arm_controller/joint_trajectory"
STATES = "/hw/joint_states"


def behind_a_controller(node: Node, values: Any, settings: RobotSettings) -> TopicDriver:
    """Return the driver of a controller whose arm stands at its reset pose."""
    states = node.create_publisher(JointState, STATES, qos.SENSOR)
    message = JointState(name=list(FR3_JOINTS), position=settings.reset_pose.tolist())
    node.create_timer(0.02, lambda: states.publish(message))
    node.create_subscription(JointTrajectory, TOPIC, lambda _: None, 10)
    return TopicDriver(node, values, settings)


@pytest.fixture
def bench() -> Iterator[RobotBench]:
    made = RobotBench(behind_a_controller, robot="fr3", mode="ros2_control", hardware_states=STATES)
    yield made
    made.close()


def test_another_publisher_on_the_controllers_topic_is_refused_at_enable_and_named(
    bench: RobotBench,
) -> None:
    other = Node("moveit", context=bench.contexts[1], namespace="/elsewhere")
    publisher = other.create_publisher(JointTrajectory, TOPIC, 1)
    eventually(lambda: "/elsewhere/moveit" in str(bench.bridge._rivals()))
    refused = bench.call("enable", data=True)
    assert not refused.success
    assert "/elsewhere/moveit" in refused.message and TOPIC in refused.message
    assert bench.robot[-1].status == RobotState.DISABLED
    other.destroy_publisher(publisher)
    eventually(lambda: not bench.bridge._rivals())
    bench.enable()
    again = other.create_publisher(JointTrajectory, TOPIC, 1)
    bench.until(lambda: bench.robot[-1].status == RobotState.STOPPED)
    assert TOPIC in bench.robot[-1].detail, "one that comes later stops the arm"
    assert "another node commands this arm" in bench.robot[-1].detail
    other.destroy_publisher(again)
    other.destroy_node()


def test_a_second_bridge_in_another_namespace_is_a_rival_too(bench: RobotBench) -> None:
    other = Node("bridge", context=bench.contexts[1], namespace="/cell_2")
    publisher = other.create_publisher(JointTrajectory, TOPIC, 1)
    eventually(lambda: "/cell_2/bridge" in str(bench.bridge._rivals()))
    refused = bench.call("enable", data=True)
    assert not refused.success and "/cell_2/bridge" in refused.message
    other.destroy_publisher(publisher)
    other.destroy_node()
