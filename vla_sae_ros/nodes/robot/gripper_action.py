"""A gripper behind the action control_msgs/GripperCommand, or one that listens to a topic."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from action_msgs.msg import GoalStatus
from rclpy.node import Node
from std_msgs.msg import Float64

from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.nodes.robot.parameters import RobotBridgeParameters
from vla_sae_ros.wire import qos
from vla_sae_ros.wire.action_client import ActionClient

TOPIC = "gripper_command"
CHANGED = 0.05
"""Of the stroke; a smaller change of what is asked for is not sent again."""
RETRY = 1.0
"""[s] after which a goal that was refused, lost or broken off is sent again when asked again."""
LOST = 3.0
"""[s] without an answer to a goal after which it counts as lost."""
UNFINISHED = 10.0
"""[s] without a result after which a goal that was accepted counts as lost: its server has gone."""
HOLDS = 0.5
"""Closing above this is a grasp: a gripper that stalls then holds something."""


@dataclass(frozen=True)
class Stroke:
    """Positions of a gripper's joint and of its action, in their own unit."""

    open: float
    closed: float

    def position(self, closing: float) -> float:
        """Return the position for 0 = open ... 1 = closed."""
        return self.open + closing * (self.closed - self.open)

    def opening(self, position: float) -> float:
        """Return 0 = closed ... 1 = open."""
        share = (position - self.closed) / (self.open - self.closed)
        return float(np.clip(share, 0.0, 1.0)) + 0.0  # never -0.0


def stroke_of(values: RobotBridgeParameters) -> Stroke:
    """Return the sense and range that the parameters say or, by the joint's name, mean."""
    sense = values.gripper_sense
    if sense == "auto":
        name = values.gripper_joint.lower()
        upwards = "robotiq" in name or "knuckle" in name
        sense = "zero_is_open" if upwards else "zero_is_closed"
    if sense == "zero_is_open":
        return Stroke(open=0.0, closed=values.gripper_width)
    return Stroke(open=values.gripper_width, closed=0.0)


class ActionGripper:
    """Sends the newest request as a goal, which replaces the one before; never waits.

    A goal that is refused, lost or broken off is sent again when the same is asked again: a policy
    asks at every tick. So is one from before a stop. A grasp that ends because the fingers stall
    has an object between them, whatever status the server gives it.

    Raises:
        ConfigurationError: control_msgs is not installed.
    """

    def __init__(
        self,
        node: Node,
        action: str,
        stroke: Stroke,
        effort: float = 40.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        try:
            from control_msgs.action import GripperCommand
        except ImportError as error:
            raise ConfigurationError(
                f"gripper:=action needs the ROS package control_msgs ({error}), which is part of "
                "a ROS installation (ros-jazzy-control-msgs) and not of the wheels. Install it, or "
                "use gripper:=none."
            ) from error
        self._goal: Any = GripperCommand.Goal
        self._stroke, self._effort, self._clock = stroke, effort, clock
        self._client = ActionClient(node, GripperCommand, action)
        self._asked = float("nan")
        self._again_at: float | None = None
        self._handle: Any = None
        self._number, self._stopped = 0, 0
        self.failed = 0
        """Goals that were refused, lost or broken off."""

    def move(self, closing: float) -> None:
        """Ask for 0 = open ... 1 = closed."""
        now = self._clock()
        if self._handle is not None and self._again_at is not None and now >= self._again_at:
            self.failed += 1
        same = abs(closing - self._asked) < CHANGED
        due = self._again_at is not None and now >= self._again_at
        if (same and not due) or not self._client.server_is_ready():
            return
        self._asked, self._handle, self._again_at = closing, None, now + LOST
        self._number += 1
        number = self._number
        goal = self._goal()
        goal.command.position = self._stroke.position(closing)
        goal.command.max_effort = self._effort
        sent = self._client.send_goal_async(goal)
        sent.add_done_callback(lambda future: self._answered(future, number))

    def stop(self) -> None:
        """Break off a goal that is under way, and take the next request for a new one.

        A gripper that has reached its goal keeps what it holds.
        """
        handle, self._handle = self._handle, None
        self._stopped = self._number
        self._number += 1  # what is still said of older goals is of no interest
        self._asked, self._again_at = float("nan"), None
        if handle is not None:
            handle.cancel_goal_async()

    def _answered(self, future: Any, number: int) -> None:
        """Hear whether the server takes a goal; on the executor's thread."""
        handle = future.result() if future.exception() is None else None
        if number != self._number:
            if handle is not None and handle.accepted and number == self._stopped:
                handle.cancel_goal_async()  # a stop has overtaken it on its way
            return
        if handle is None or not handle.accepted:
            self._fail()
            return
        self._handle, self._again_at = handle, self._clock() + UNFINISHED
        result = handle.get_result_async()
        result.add_done_callback(lambda done: self._ended(done, number))

    def _ended(self, future: Any, number: int) -> None:
        if number != self._number:
            return
        self._handle, self._again_at = None, None
        answer = future.result() if future.exception() is None else None
        holds = answer is not None and answer.result.stalled and self._asked > HOLDS
        if answer is None or (answer.status not in _FINE and not holds):
            self._fail()

    def _fail(self) -> None:
        self.failed += 1
        self._again_at = self._clock() + RETRY


_FINE = (GoalStatus.STATUS_SUCCEEDED, GoalStatus.STATUS_EXECUTING, GoalStatus.STATUS_ACCEPTED)


class TopicGripper:
    """Publishes 0 = open ... 1 = closed as std_msgs/Float64, at every command."""

    def __init__(self, node: Node) -> None:
        self._publisher = node.create_publisher(Float64, TOPIC, qos.COMMAND)

    def move(self, closing: float) -> None:
        """Ask for 0 = open ... 1 = closed."""
        self._publisher.publish(Float64(data=closing))

    def stop(self) -> None:
        """Do nothing: what listens keeps its last number."""
