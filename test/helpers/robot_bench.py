"""A robot bridge over real DDS with a fake policy, for tests of several rooms."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any
from unittest import mock

import numpy as np
import rclpy
from patience import PATIENCE, answer_of
from rclpy.context import Context
from rclpy.node import Node
from rclpy.parameter import Parameter
from second_domain import SECOND_DOMAIN
from sensor_msgs.msg import JointState
from spinning import Spinning
from std_srvs.srv import SetBool, Trigger

from vla_sae_ros.action import RunEpisode
from vla_sae_ros.msg import (
    ActionChunk,
    ChunkRequest,
    EpisodeState,
    ExecutedAction,
    RobotCommand,
    RobotState,
    SteeringLease,
    TakeoverState,
)
from vla_sae_ros.nodes.robot import bridge
from vla_sae_ros.nodes.robot.bridge import RobotBridge
from vla_sae_ros.nodes.robot.robot_bridge_node import make_driver
from vla_sae_ros.robot.settings import RobotSettings
from vla_sae_ros.robot.settings_file import load_robot
from vla_sae_ros.wire import qos
from vla_sae_ros.wire.action_client import ActionClient
from vla_sae_ros.wire.conversions import to_floats

wait = answer_of  # the name by which scripts outside the tests know it
OWNER = "tester"
LEASE = 60.0
"""[s] an enable lasts without a heartbeat; a panel's or script's own lease is shorter."""
POLICY_TIMEOUT = 120.0
"""[s] the longest that a bridge may wait for a policy."""


class RobotBench:
    """A robot bridge, and an observer that is the operator and the policy.

    Args:
        make: of the driver.
        lease: [s] that each of the operator's heartbeats is good for, and the longest there is.
        beating: whether this operator is heard of; False where another one shall be.
        watchdog: [s] without a command after which the arm is stopped.
        parameters: of the bridge.
    """

    def __init__(
        self,
        make: Any = make_driver,
        domain: int = SECOND_DOMAIN,
        lease: float = LEASE,
        beating: bool = True,
        watchdog: float = PATIENCE,
        **parameters: Any,
    ) -> None:
        self.contexts = [Context(), Context()]
        for context in self.contexts:
            rclpy.init(context=context, domain_id=domain)
        given = {"audit_folder": "", "policy_timeout": POLICY_TIMEOUT} | parameters
        overrides = [Parameter(name, value=value) for name, value in given.items()]
        with mock.patch.object(bridge, "load_robot", partial(patient, watchdog, lease)):
            self.bridge = RobotBridge(make, context=self.contexts[0], parameter_overrides=overrides)
        self.node = Node("observer", context=self.contexts[1])
        self._changed = threading.Condition()
        self.robot: list[RobotState] = []
        self.episodes: list[EpisodeState] = []
        self.commands: list[RobotCommand] = []
        self.executed: list[ExecutedAction] = []
        self.joints: list[JointState] = []
        self.requests: list[ChunkRequest] = []
        self.takeovers: list[TakeoverState] = []
        self.resets = 0
        self.answer: Callable[[ChunkRequest], list[ActionChunk]] = lambda request: []
        """The fake policy: what is published for a request."""
        for kind, topic, profile, kept in (
            (RobotState, "robot_state", qos.LATCHED, self.robot),
            (EpisodeState, "episode", qos.LATCHED, self.episodes),
            (RobotCommand, "robot_command", qos.EXECUTED, self.commands),
            (ExecutedAction, "executed_action", qos.EXECUTED, self.executed),
            (JointState, "joint_states", qos.SENSOR, self.joints),
            (ChunkRequest, "policy/request", qos.CHUNK, self.requests),
            (TakeoverState, "bridge/takeover_state", qos.LATCHED, self.takeovers),
        ):
            self.node.create_subscription(kind, topic, self._taker(kept), profile)
        self._chunks = self.node.create_publisher(ActionChunk, "policy/action_chunk", qos.CHUNK)
        self._beats = self.node.create_publisher(SteeringLease, "bridge/heartbeat", qos.HEARTBEAT)
        self.node.create_service(Trigger, "steering/reset", self._reset)
        self.beating = beating
        self._lease = lease
        self.node.create_timer(0.2, self._beat)
        self._services = {
            "enable": self.node.create_client(SetBool, "bridge/enable"),
            "stop": self.node.create_client(Trigger, "bridge/stop"),
            "recover": self.node.create_client(Trigger, "bridge/recover"),
            "takeover": self.node.create_client(SetBool, "bridge/takeover"),
        }
        self.client = ActionClient(self.node, RunEpisode, "run_episode")
        self._spinning = Spinning(self.bridge, self.node)
        assert self.client.wait_for_server(PATIENCE)
        for service in self._services.values():
            assert service.wait_for_service(PATIENCE)
        self.until(
            lambda: (
                self.robot
                and self.robot[-1].status == RobotState.DISABLED
                and len(self.commands) > 1
            )
        )

    def until(self, condition: Callable[[], Any]) -> None:
        with self._changed:
            assert self._changed.wait_for(condition, PATIENCE), self.robot[-1:]

    def call(self, name: str, **fields: Any) -> Any:
        kind = SetBool if name in ("enable", "takeover") else Trigger
        return answer_of(self._services[name].call_async(kind.Request(**fields)))

    def enable(self) -> None:
        answer = self.call("enable", data=True)
        assert answer.success, answer.message
        self.until(lambda: self.robot[-1].status == RobotState.ENABLED)

    def take_over(self, on: bool) -> None:
        answer = self.call("takeover", data=on)
        assert answer.success, answer.message
        self.until(lambda: self.takeovers[-1].taken_over is on)

    def send(self, **goal: Any) -> Any:
        goal = {"instruction": "wave", "seed": 7} | goal
        handle = answer_of(self.client.send_goal_async(RunEpisode.Goal(**goal)))
        assert handle.accepted
        return handle

    def publish(self, chunk: ActionChunk) -> None:
        self._chunks.publish(chunk)

    def close(self) -> None:
        self._spinning.close()
        self.client.destroy()
        self.node.destroy_node()
        self.bridge.destroy_node()
        for context in self.contexts:
            context.try_shutdown()

    def _taker(self, kept: list[Any]) -> Callable[[Any], None]:
        def take(message: Any) -> None:
            with self._changed:
                kept.append(message)
                self._changed.notify_all()
            if kept is self.requests:
                for chunk in self.answer(message):
                    self._chunks.publish(chunk)

        return take

    def _reset(self, _request: Any, response: Any) -> Any:
        with self._changed:
            self.resets += 1
            self._changed.notify_all()
        response.success = True
        return response

    def _beat(self) -> None:
        if self.beating:
            self._beats.publish(SteeringLease(owner=OWNER, duration=self._lease))


def patient(watchdog: float, lease: float, robot: str) -> RobotSettings:
    """Return a robot's settings under which nothing runs out because a busy machine is late.

    No settings file may give such limits: on a real arm they are what stops it.
    """
    return replace(
        load_robot(robot),
        watchdog=watchdog,
        max_reading_age=PATIENCE,
        lease=lease,
        # Where commands reach the arm over topics, a busy machine lets it stand still meanwhile.
        max_frozen=PATIENCE,
        max_stuck=PATIENCE,
    )


def chunk_for(request: ChunkRequest, actions: np.ndarray, **changes: Any) -> ActionChunk:
    """Return a chunk (H, A) computed from exactly what was asked for."""
    fields = {
        "header": request.header,
        "episode_id": request.episode_id,
        "chunk_id": request.step + 1,
        "observation_step": request.step,
        "control_rate": 15.0,
        "horizon": len(actions),
        "action_dim": actions.shape[1],
        "actions": to_floats(actions),
    }
    return ActionChunk(**fields | changes)
