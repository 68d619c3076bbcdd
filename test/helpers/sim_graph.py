"""A simulation bridge with a policy and a client, over real DDS."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from patience import PATIENCE, answer_of
from rclpy.context import Context
from rclpy.node import Node
from rclpy.parameter import Parameter
from second_domain import SECOND_DOMAIN
from spinning import Spinning

from vla_sae_ros.action import RunEpisode
from vla_sae_ros.msg import EpisodeState, ExecutedAction
from vla_sae_ros.nodes.sim.bridge import SimBridge
from vla_sae_ros.wire import qos
from vla_sae_ros.wire.action_client import ActionClient

PATIENT = {"suite": "fake_suite", "chunk_timeout": 3600.0, "resend_after": 600.0}
"""A busy machine's policy is late, and a request that is sent again is answered twice."""


class Graph:
    """A bridge, a policy and a client; `fake_policy` makes the policy of the client's node."""

    def __init__(
        self, environment: Any, find_task: Any, fake_policy: Any, **parameters: Any
    ) -> None:
        self.contexts = [Context(), Context()]
        for context in self.contexts:
            rclpy.init(context=context, domain_id=SECOND_DOMAIN)
        overrides = [Parameter(name, value=value) for name, value in (PATIENT | parameters).items()]
        self.bridge = SimBridge(
            lambda values: environment,
            find_task,
            context=self.contexts[0],
            parameter_overrides=overrides,
        )
        self.node = Node("observer", context=self.contexts[1])
        self.policy = fake_policy(self.node)
        self.states: list[EpisodeState] = []
        self.feedback: list[EpisodeState] = []
        self.executed: list[ExecutedAction] = []
        self.diagnosis = DiagnosticStatus()
        self._changed = threading.Condition()
        self._listen(EpisodeState, "episode", qos.LATCHED, self.states.append)
        self._listen(ExecutedAction, "executed_action", qos.EXECUTED, self.executed.append)
        self._listen(DiagnosticArray, "/diagnostics", qos.DIAGNOSTICS, self._diagnosed)
        self.client = ActionClient(self.node, RunEpisode, "run_episode")
        self._spinning = Spinning(self.bridge, self.node)
        assert self.client.wait_for_server(PATIENCE)
        self.until(lambda: self.bridge.count_subscribers("executed_action") > 0)

    def _listen(self, kind: Any, topic: str, profile: Any, take: Callable[[Any], None]) -> None:
        def told(message: Any) -> None:
            with self._changed:
                take(message)
                self._changed.notify_all()

        self.node.create_subscription(kind, topic, told, profile)

    def _diagnosed(self, message: DiagnosticArray) -> None:
        self.diagnosis = message.status[0]

    def until(self, condition: Callable[[], bool]) -> None:
        with self._changed:
            assert self._changed.wait_for(condition, PATIENCE)

    def send(self, **goal: Any) -> Any:
        goal = {"suite": "fake_suite", "seed": 7} | goal
        sent = self.client.send_goal_async(
            RunEpisode.Goal(**goal), lambda message: self.feedback.append(message.feedback.state)
        )
        handle = answer_of(sent)
        assert handle.accepted
        return handle

    def run(self, **goal: Any) -> tuple[int, RunEpisode.Result]:
        answer = answer_of(self.send(**goal).get_result_async())
        return answer.status, answer.result

    def close(self) -> None:
        if self._spinning.closed:
            return
        self._spinning.close()
        self.client.destroy()
        self.node.destroy_node()
        self.bridge.destroy_node()
        for context in self.contexts:
            context.try_shutdown()
