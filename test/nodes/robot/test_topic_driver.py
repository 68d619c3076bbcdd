"""mode ros2_control: what reaches a controller, and what it does not."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import rclpy
from geometry_msgs.msg import TwistStamped
from patience import eventually
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from second_domain import SECOND_DOMAIN
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64, Float64MultiArray
from trajectory_msgs.msg import JointTrajectory

from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.nodes.robot.controller_outputs import output_for
from vla_sae_ros.nodes.robot.forward_watchdog_node import ForwardWatchdog
from vla_sae_ros.nodes.robot.parameters import RobotBridgeParameters
from vla_sae_ros.nodes.robot.topic_driver import FR3_JOINTS, TopicDriver
from vla_sae_ros.robot.driver import RobotUnreachable
from vla_sae_ros.robot.settings_file import load_robot

DEFAULTS = RobotBridgeParameters()
SETTINGS = load_robot("fr3")
Q = np.array([0.1, -0.6, 0.2, -2.2, 0.3, 1.9, 0.4])


class Controller:
    """A controller's side of the graph, and the node that the driver lives in."""

    def __init__(self) -> None:
        self.context = Context()
        rclpy.init(context=self.context, domain_id=SECOND_DOMAIN)
        self.node = Node("controller", context=self.context)
        self.owner = Node("bridge", context=self.context, namespace="cell")
        self.states = self.node.create_publisher(JointState, "/joint_states", 5)
        self.heard: list[Any] = []
        self.executor = SingleThreadedExecutor(context=self.context)
        for node in (self.node, self.owner):
            self.executor.add_node(node)
        self._changed = threading.Condition()

    def listen(self, kind: type, topic: str) -> None:
        self.node.create_subscription(kind, topic, self.heard.append, 10)

    def until(self, condition: Any) -> None:
        eventually(lambda: condition() or self.executor.spin_once(timeout_sec=0.05))

    def say(self, names: Any, q: np.ndarray, velocity: Any = ()) -> None:
        self.states.publish(
            JointState(name=list(names), position=q.tolist(), velocity=list(velocity))
        )

    def close(self) -> None:
        self.executor.shutdown()
        for node in (self.node, self.owner):
            node.destroy_node()
        self.context.try_shutdown()


@pytest.fixture
def controller() -> Iterator[Controller]:
    made = Controller()
    yield made
    made.close()


def connected(controller: Controller, **values: Any) -> TopicDriver:
    driver = TopicDriver(controller.owner, replace(DEFAULTS, **values), SETTINGS)
    controller.until(lambda: controller.states.get_subscription_count() > 0)
    # What is sent before a best-effort reader knows its writer, too, is lost.
    (reader,) = [
        each for each in controller.owner.subscriptions if "joint_states" in each.topic_name
    ]
    controller.until(lambda: reader.get_publisher_count() > 0)
    controller.say([*reversed(FR3_JOINTS), "fr3_finger_joint1"], np.append(Q[::-1], 0.01))
    controller.until(lambda: driver._reading is not None)
    return driver


def test_joint_states_come_by_name_whatever_their_order(controller):
    driver = connected(controller)
    driver.connect()
    reading = driver.read()
    assert np.allclose(reading.q, Q)
    assert reading.opening == pytest.approx(0.25)
    assert not reading.in_control


def test_velocities_that_a_broadcaster_does_not_know_are_like_none(controller):
    """joint_state_broadcaster fills in NaN for an interface that the hardware lacks."""
    driver = connected(controller)
    before = driver.read()
    controller.say(FR3_JOINTS, Q, [np.nan] * 7)
    controller.until(lambda: driver.read() is not before)
    assert driver.read().dq.tolist() == [0.0] * 7


def test_without_joint_states_there_is_no_robot(controller):
    driver = TopicDriver(controller.owner, DEFAULTS, SETTINGS)
    with pytest.raises(RobotUnreachable, match="hardware_states"):
        driver.connect()


def test_a_target_is_a_trajectory_that_begins_a_tick_away_and_ends_at_rest(controller):
    controller.listen(JointTrajectory, "/fr3_arm_controller/joint_trajectory")
    driver = connected(controller)
    controller.until(lambda: driver._publisher.get_subscription_count() > 0)
    driver.send(Q + 0.01)
    controller.until(lambda: controller.heard)
    (sent,) = controller.heard
    assert list(sent.joint_names) == list(FR3_JOINTS)
    first, last = sent.points[0], sent.points[-1]
    assert np.allclose(first.positions, Q + 0.005), "the middle between two targets"
    assert np.allclose(first.velocities, 0.01 * SETTINGS.rate)
    assert first.time_from_start.nanosec == pytest.approx(1e9 / 15, abs=1)
    assert not np.any(last.velocities)
    assert (sent.header.stamp.sec, sent.header.stamp.nanosec) == (0, 0), "from now on"


def test_a_stop_brakes_the_target_from_where_it_was_sent(controller):
    controller.listen(JointState, "/target_joint")
    driver = connected(controller, output="joint_state")
    controller.until(lambda: driver._publisher.get_subscription_count() > 0)
    driver.stop()
    targets = [Q + ahead for ahead in (0.05, 0.09)]
    for target in targets:
        driver.send(target)
    driver.stop()
    driver.stop()
    driver.gripper(1.0)  # with no gripper: nothing
    speed = 0.04 * SETTINGS.rate
    braking = SETTINGS.limits.acceleration[0] / SETTINGS.rate
    ticks = int(np.ceil(speed / braking))
    controller.until(lambda: len(controller.heard) >= 2 + ticks)
    sent = np.array([np.array(each.position) for each in controller.heard])
    speeds = np.diff(sent, axis=0)[:, 0] * SETTINGS.rate
    assert np.allclose(speeds, np.maximum(0.0, speed - braking * np.arange(len(speeds))))


def test_a_twist_slows_down_to_none_at_a_stop(controller):
    """The tool is never asked to stand at once, and never to go back."""
    controller.listen(TwistStamped, "/servo_node/delta_twist_cmds")
    driver = connected(controller, output="twist")
    controller.until(lambda: driver._publisher.get_subscription_count() > 0)
    step = SETTINGS.limits.velocity[0] / SETTINGS.rate * np.eye(7)[0]
    for ticks in (1, 2):
        driver.send(Q + ticks * step)
    driver.stop()
    slowest = SETTINGS.limits.velocity[0] / (SETTINGS.limits.acceleration[0] / SETTINGS.rate)
    controller.until(lambda: len(controller.heard) >= 2 + int(np.ceil(slowest)))
    linear = np.array([[m.twist.linear.x, m.twist.linear.y] for m in controller.heard[1:]])
    speeds = np.linalg.norm(linear, axis=1)
    assert speeds[0] > 0.1 and speeds[-1] == 0.0
    assert (np.diff(speeds[1:]) < 1e-6).all()
    arm = np.linalg.norm(SETTINGS.place.kinematics.tool(Q)[:2])
    hardest = arm * SETTINGS.limits.acceleration[0] / SETTINGS.rate
    assert np.abs(np.diff(speeds[1:])).max() < 1.05 * hardest


def standing(heard: list[Any]) -> bool:
    """Tell whether the last two targets are the same."""
    last = [m.position[0] if hasattr(m, "position") else m.data[0] for m in heard[-2:]]
    return last[0] == last[1]


@pytest.mark.parametrize("output", ["joint_state", "forward"])
def test_a_stop_does_not_step_back_to_where_a_late_arm_is_measured(controller, output):
    kind = {"joint_state": JointState, "forward": Float64MultiArray}[output]
    controller.listen(
        kind, {"joint_state": "/target_joint", "forward": "/cell/forward_command"}[output]
    )
    driver = connected(controller, output=output)
    controller.until(lambda: driver._publisher.get_subscription_count() > 0)
    for ticks in range(12):  # the arm follows 0.15 rad behind
        q = Q + 0.05 * ticks * np.eye(7)[0]
        driver._reading = replace(driver._reading, q=q)
        driver.send(q + 0.15 * np.eye(7)[0])
        controller.until(lambda ticks=ticks: len(controller.heard) > ticks)
    driver.stop()
    controller.until(lambda: standing(controller.heard))
    sent = [m.position[0] if output == "joint_state" else m.data[0] for m in controller.heard]
    assert (np.diff(sent) >= -1e-12).all(), "never against the motion"
    assert np.diff(sent).max() <= SETTINGS.limits.velocity[0] / SETTINGS.rate + 1e-9


def test_states_that_are_old_by_their_own_header_are_old(controller):
    driver = connected(controller)
    message = JointState(name=list(FR3_JOINTS), position=Q.tolist())
    message.header.stamp.sec = 100
    for now in (101.5, 98.5):
        driver._now_ns = lambda now=now: int(now * 1e9)
        driver._heard(message)
        assert time.monotonic() - driver.read().stamp >= 1.5


def test_a_target_for_nobody_is_an_error_and_not_lost_in_silence(controller):
    driver = connected(controller)
    with pytest.raises(RobotUnreachable, match="no controller listens"):
        driver.send(Q)


def test_a_twist_moves_the_tool_to_the_target_within_a_tick():
    """Against the geometric Jacobian by finite differences of the flange's pose."""
    _, make = output_for("twist", SETTINGS, FR3_JOINTS, "fr3_link0")
    step = 0.002 * np.array([1.0, -0.5, 0.3, 0.8, -0.6, 0.4, 0.9])
    message = make(Q + step, Q, 5)
    kinematics = SETTINGS.place.kinematics
    linear = (kinematics.tool(Q + step) - kinematics.tool(Q)) * 15
    turn = kinematics.flange(Q + step)[:3, :3] @ kinematics.flange(Q)[:3, :3].T
    skew = (turn - turn.T) / 2 * 15
    sent = message.twist
    assert [sent.linear.x, sent.linear.y, sent.linear.z] == pytest.approx(linear.tolist())
    assert [sent.angular.x, sent.angular.y, sent.angular.z] == pytest.approx(
        [skew[2, 1], skew[0, 2], skew[1, 0]], rel=1e-3
    )
    assert message.header.frame_id == "fr3_link0"


@pytest.mark.parametrize(
    "values, words",
    [
        ({"hardware_joints": ("a", "b")}, "7 names"),
        ({"gripper": "action"}, "control_msgs"),
        ({"hardware_states": "joint_states"}, "share the topic"),
    ],
)
def test_what_cannot_work_is_refused_with_what_to_do(controller, values, words):
    with pytest.raises(ConfigurationError, match=words):
        TopicDriver(controller.owner, replace(DEFAULTS, **values), SETTINGS)


def test_a_gripper_topic_gets_the_closing(controller):
    controller.listen(Float64, "/cell/gripper_command")
    driver = connected(controller, gripper="topic")
    controller.until(lambda: driver._hand._publisher.get_subscription_count() > 0)
    driver.gripper(0.75)
    controller.until(lambda: controller.heard)
    assert controller.heard[0].data == 0.75


def test_the_watchdog_passes_commands_on_and_holds_the_last_target_when_they_stop(controller):
    topic = "/forward_position_controller/commands"
    controller.listen(Float64MultiArray, topic)
    watchdog = ForwardWatchdog(context=controller.context)
    controller.executor.add_node(watchdog)
    commands = controller.node.create_publisher(Float64MultiArray, "/forward_command", 1)
    controller.until(
        lambda: commands.get_subscription_count() and controller.node.count_publishers(topic)
    )
    controller.until(lambda: watchdog._out.get_subscription_count() > 0)
    commands.publish(Float64MultiArray(data=[float("nan")] * 7))
    commands.publish(Float64MultiArray(data=(Q + 0.3).tolist()))
    controller.until(lambda: len(controller.heard) >= 4)
    assert np.allclose(controller.heard[0].data, Q + 0.3)
    assert all(np.allclose(each.data, Q + 0.3) for each in controller.heard[1:])
    controller.executor.remove_node(watchdog)
    watchdog.destroy_node()


def test_the_watchdog_passes_nothing_on_while_another_node_commands_its_controller(controller):
    topic = "/forward_position_controller/commands"
    controller.listen(Float64MultiArray, topic)
    watchdog = ForwardWatchdog(context=controller.context)
    controller.executor.add_node(watchdog)
    rival = controller.node.create_publisher(Float64MultiArray, topic, 1)
    controller.until(lambda: watchdog._rivals)
    assert topic in watchdog._rivals[0]
    watchdog._command(Float64MultiArray(data=Q.tolist()))
    assert not watchdog._left, "dropped: it is not held later, either"
    controller.node.destroy_publisher(rival)
    controller.until(lambda: not watchdog._rivals)
    controller.until(lambda: watchdog._out.get_subscription_count() > 0)
    watchdog._command(Float64MultiArray(data=Q.tolist()))
    controller.until(lambda: controller.heard)
    controller.executor.remove_node(watchdog)
    watchdog.destroy_node()
