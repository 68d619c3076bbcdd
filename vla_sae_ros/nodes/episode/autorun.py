"""A bridge's first episode, run without being asked to."""

from __future__ import annotations

from collections.abc import Callable

from rclpy.node import Node
from rclpy.task import Future

from vla_sae_ros.action import RunEpisode
from vla_sae_ros.wire.action_client import ActionClient
from vla_sae_ros.wire.steady import follows_sim_time, steady_timer

LOOK_PERIOD = 0.25
"""Seconds between looks whether there is a policy yet."""


class Autorun:
    """Sends one goal to the node's own `run_episode` as soon as a policy listens.

    It goes the way of every other goal, so whatever holds for one holds for this one.
    """

    def __init__(self, node: Node, goal: RunEpisode.Goal, is_ready: Callable[[], bool]) -> None:
        self._node = node
        self._goal = goal
        self._is_ready = is_ready
        self._client = ActionClient(node, RunEpisode, "run_episode")
        self._timer = steady_timer(node, LOOK_PERIOD, self._look)
        words = "the first episode starts as soon as there is a policy"
        if follows_sim_time(node):
            words += "; it does not wait for /clock: this bridge keeps the simulation's time itself"
        node.get_logger().info(words)

    def destroy(self) -> None:
        """Take the client off the node."""
        self._client.destroy()

    def _look(self) -> None:
        if self._is_ready() and self._client.server_is_ready():
            self._node.destroy_timer(self._timer)
            self._client.send_goal_async(self._goal).add_done_callback(self._sent)

    def _sent(self, sent: Future) -> None:
        sent.result().get_result_async().add_done_callback(self._finished)

    def _finished(self, finished: Future) -> None:
        result = finished.result().result
        self._node.get_logger().info(
            f"first episode: {'success' if result.success else 'no success'} after {result.steps} "
            f"steps ({result.message})"
        )
