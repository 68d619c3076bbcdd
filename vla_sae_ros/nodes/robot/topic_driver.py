"""An arm behind a ros2_control controller: a Driver that reads and publishes topics."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from rclpy.node import Node
from sensor_msgs.msg import JointState

from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.nodes.robot.controller_outputs import TOPICS, output_for
from vla_sae_ros.nodes.robot.gripper_action import ActionGripper, TopicGripper, stroke_of
from vla_sae_ros.nodes.robot.parameters import RobotBridgeParameters, with_defaults
from vla_sae_ros.nodes.robot.rivals import other_publishers
from vla_sae_ros.nodes.robot.target_brake import TargetBrake
from vla_sae_ros.robot.driver import Joints, RobotReading, RobotUnreachable
from vla_sae_ros.robot.settings import RobotSettings
from vla_sae_ros.wire import qos

FR3_JOINTS = tuple(f"fr3_joint{number}" for number in range(1, 8))
NAN = float("nan")


class TopicDriver:
    """Follows targets by publishing them; the newest joint states say where the arm is.

    The controller has a robot and limits of its own and does not say who commands it: what this
    driver knows is the age of the joint states. It stops by braking its own targets to rest.

    Args:
        values: the robot bridge's parameters; a mapping gives some of them, the rest are defaults.
        now_ns: the clock of the joint states' headers.

    Raises:
        ConfigurationError: they do not fit the robot, or a package is missing.
    """

    name = "topics"

    def __init__(
        self,
        node: Node,
        values: RobotBridgeParameters | Mapping[str, Any],
        settings: RobotSettings,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        if isinstance(values, Mapping):
            values = with_defaults(values)
        self._now_ns = now_ns
        self._names = values.hardware_joints or FR3_JOINTS
        if len(self._names) != settings.joints:
            raise ConfigurationError(
                complaint(
                    "hardware_joints", self._names, f"{settings.joints} names, base to flange"
                )
            )
        kind = values.output
        frame = values.twist_frame or f"{settings.robot}_link0"
        self._settings = settings
        self._new_make = lambda: output_for(kind, settings, self._names, frame)
        message_class, self._make = self._new_make()
        self._kind = kind
        self._brake = TargetBrake(settings, self._publish)
        topic = values.output_topic or TOPICS[kind]
        self._node = node
        self._publisher = node.create_publisher(message_class, topic, qos.COMMAND)
        self._hand = _hand(node, values)
        states, own = (
            node.resolve_topic_name(str(name), only_expand=False)
            for name in (values.hardware_states, "joint_states")
        )
        if states == own:
            raise ConfigurationError(
                f"The arm's joint states and the bridge's own would share the topic {own}. Give "
                "the bridge a namespace, or remap its joint_states and the policy's."
            )
        self._finger, self._stroke = values.gripper_joint, stroke_of(values)
        self._reading: RobotReading | None = None
        self._opening = NAN
        self._problem = ""
        self._following = False
        node.create_subscription(JointState, values.hardware_states, self._heard, qos.SENSOR)

    def rivals(self) -> tuple[str, ...]:
        """Name the other nodes that publish on the controller's topic, whatever their namespace."""
        return other_publishers(self._node, self._publisher.topic_name)

    def connect(self) -> None:
        """Find joint states; raises RobotUnreachable while there are none."""
        if self._reading is None:
            raise RobotUnreachable(
                self._problem
                or "No joint states have been received yet. Check that the controller is running "
                "and that hardware_states is its topic."
            )

    def read(self) -> RobotReading:
        """Return the newest joint states; their age is the envelope's to judge."""
        if self._reading is None:
            raise RobotUnreachable("no joint states")
        return self._reading

    def send(self, target: Joints) -> None:
        """Publish a target (N,) rad; raises RobotUnreachable when nobody listens."""
        if not self._publisher.get_subscription_count():
            raise RobotUnreachable(f"no controller listens to {self._publisher.topic_name}")
        self._following = True
        measured = self._reading.q if self._reading is not None else target
        self._brake.sent(target, measured)
        self._publish(target, measured)

    def gripper(self, closing: float) -> None:
        """Ask for 0 = open ... 1 = closed."""
        if self._hand is not None:
            self._hand.move(closing)

    def stop(self) -> None:
        """Brake from the last target within our limits, if the arm was moved.

        A step back to where the arm is measured would be a jump of the target, and would take away
        the error that carries it. A twist slows down with the target, to none at all. A trajectory
        has its way to rest in it already.
        """
        if self._hand is not None:
            self._hand.stop()
        if not self._following:
            return
        self._following = False
        if self._kind != "joint_trajectory":
            self._brake.begin()
        _, self._make = self._new_make()

    def recover(self) -> None:
        """Do what `connect` does: a controller's faults are cleared at the controller."""
        self.connect()

    def close(self) -> None:
        """Stop."""
        self.stop()

    def _age(self, message: JointState) -> float:
        """Return how old a state is by its own header [s]; one without a stamp is of this moment.

        A stamp from the future is as little to be trusted as one from the past.
        """
        stamp_ns = message.header.stamp.sec * 10**9 + message.header.stamp.nanosec
        return abs(self._now_ns() - stamp_ns) / 1e9 if stamp_ns else 0.0

    def _publish(self, target: Joints, here: Joints) -> None:
        self._publisher.publish(self._make(target, here, self._now_ns()))

    def _heard(self, message: JointState) -> None:
        """Take joint states, on the executor's thread; those of other joints are none of ours."""
        places = {name: place for place, name in enumerate(message.name)}
        if self._finger in places and len(message.position) > places[self._finger]:
            self._opening = self._stroke.opening(message.position[places[self._finger]])
        missing = [name for name in self._names if name not in places]
        if missing:
            self._problem = f"hardware_states has no joint {missing[0]}"
            return
        order = [places[name] for name in self._names]
        q = _ordered(message.position, order)
        dq = _ordered(message.velocity, order)
        if q is None:
            self._problem = "hardware_states contains joint names without positions"
            return
        zeros = np.zeros(len(order))
        self._reading = RobotReading(
            time.monotonic() - self._age(message),
            q,
            zeros if dq is None or np.isnan(dq).all() else dq,  # a broadcaster's NaN: not known
            self._opening,
            self._following,
        )


def _hand(node: Node, values: RobotBridgeParameters) -> ActionGripper | TopicGripper | None:
    if values.gripper == "action":
        return ActionGripper(node, values.gripper_action, stroke_of(values), values.gripper_effort)
    return TopicGripper(node) if values.gripper == "topic" else None


def _ordered(values: Any, order: list[int]) -> Joints | None:
    if len(values) <= max(order):
        return None
    return np.array([values[place] for place in order], dtype=np.float64)
