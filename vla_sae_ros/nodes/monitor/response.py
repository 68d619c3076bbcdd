"""What an alarm does. It has clients for less only: bypass, disable, stop, cancel."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

from action_msgs.srv import CancelGoal
from rclpy.client import Client
from rclpy.node import Node
from rclpy.task import Future
from std_srvs.srv import SetBool, Trigger

from vla_sae_ros.core.errors import bounded
from vla_sae_ros.msg import Annotation, FeatureActivations
from vla_sae_ros.wire import qos

AUTHOR = "monitor"
CANCEL = "run_episode/_action/cancel_goal"
"""The action's own service; a request without a goal's id cancels whatever runs."""
PATIENCE = 1.0
"""[s] for an answer; after that it is asked again."""


class Response:
    """Answers the first alarm of an episode, and tries again until it has been done.

    A bridge of a robot offers `bridge/enable` and `bridge/stop`; one of a simulation does not, and
    its episode is canceled instead.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._remarks = node.create_publisher(Annotation, "annotation", qos.EVENTS)
        self._bypass = self._client(SetBool, "steering/bypass")
        self._enable = self._client(SetBool, "bridge/enable")
        self._stop = self._client(Trigger, "bridge/stop")
        self._cancel = self._client(CancelGoal, CANCEL)
        self._asked = 0
        self.begin()

    def begin(self) -> None:
        """Forget the alarm: another episode begins."""
        self._told, self._patient_until = False, -math.inf
        self._asked += 1  # an answer that is still to come is of the episode before
        self.acted = False
        """What was asked for has been done."""
        self.words = ""
        """What came of it, or why not yet."""

    def act(self, on_alarm: str, heard: FeatureActivations, what: str) -> None:
        """Do what `on_alarm` says, unless it has been done or an answer is awaited."""
        if not self.acted and time.monotonic() > self._patient_until:
            self._do(on_alarm)
        if not self._told:
            self._told = True
            self._node.get_logger().warning(f"ALARM in {heard.episode_id!r}: {what}")
            if on_alarm != "log":
                self._remark(heard, what)

    def _do(self, on_alarm: str) -> None:
        if on_alarm in ("log", "mark"):
            self.acted, self.words = True, "logged" if on_alarm == "log" else "marked"
            return
        ways = self._ways(on_alarm)
        for client, request, done in ways:
            if client.service_is_ready():
                self._patient_until = time.monotonic() + PATIENCE
                self._asked += 1
                take = self._answered(self._asked, client.srv_name, done)
                client.call_async(request).add_done_callback(take)
                return
        self._failed(f"no node offers {' or '.join(client.srv_name for client, _, _ in ways)}")

    def _ways(self, on_alarm: str) -> list[tuple[Client, Any, str]]:
        """Return whom to ask for what, the first that is there; and what has been done then."""
        if on_alarm == "bypass":
            return [(self._bypass, SetBool.Request(data=True), "steering is bypassed")]
        cancel = (self._cancel, CancelGoal.Request(), "the episode is canceled")
        if on_alarm == "hold":
            return [(self._enable, SetBool.Request(data=False), "motion is disabled"), cancel]
        return [(self._stop, Trigger.Request(), "the robot is stopped"), cancel]

    def _answered(self, asked: int, service: str, done: str) -> Callable[[Future], None]:
        def take(future: Future) -> None:
            if asked != self._asked:
                return  # asked again since, or in an episode that is over
            self._patient_until = -math.inf
            refusal = _refusal(future.result())
            if refusal:
                self._failed(f"{service} refused: {refusal}")
                return
            self.acted, self.words = True, done
            self._node.get_logger().warning(f"after the alarm {done} ({service})")

        return take

    def _failed(self, words: str) -> None:
        self.words = bounded(words)
        self._node.get_logger().error(
            f"the action of the alarm has not succeeded yet and is tried again: {self.words}",
            throttle_duration_sec=2.0,
        )

    def _remark(self, heard: FeatureActivations, what: str) -> None:
        self._remarks.publish(
            Annotation(
                header=heard.header,
                episode_id=heard.episode_id,
                step=heard.observation_step,
                author=AUTHOR,
                text=bounded(f"alarm: {what}"),
            )
        )

    def _client(self, kind: Any, name: str) -> Client:
        return self._node.create_client(kind, name, qos_profile=qos.SERVICE)


def _refusal(answer: Any) -> str:
    """Return why a service has not done it; empty: it has."""
    if isinstance(answer, CancelGoal.Response):
        fine = answer.return_code == CancelGoal.Response.ERROR_NONE and answer.goals_canceling
        return "" if fine else f"no episode to cancel (code {answer.return_code})"
    return "" if answer.success else (answer.message or "without a reason")
