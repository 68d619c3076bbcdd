"""Asking an action server from a thread that does not spin."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
import rclpy
from patience import PATIENCE, answer_of
from rclpy.action import ActionServer
from rclpy.context import Context
from rclpy.executors import MultiThreadedExecutor
from rclpy.node import Node

from vla_sae_ros.action import RunEpisode
from vla_sae_ros.wire.action_client import ActionClient


class QuickAnswers(ActionClient):
    """Notes a request only once its answer has come: the worst that a busy machine can do."""

    def __init__(self, *args: Any) -> None:
        self.answered = threading.Event()
        super().__init__(*args)
        self._pending_goal_requests = LateTable(self.answered)

    async def execute(self, taken_data: Any) -> None:
        if "goal" in taken_data:
            self.answered.set()
        await super().execute(taken_data)


class LateTable(dict):
    """rclpy looks into it between sending and noting."""

    def __init__(self, answered: threading.Event) -> None:
        super().__init__()
        self._answered, self._asker = answered, threading.current_thread()

    def __contains__(self, key: object) -> bool:
        if threading.current_thread() is self._asker:
            assert self._answered.wait(PATIENCE)
        return super().__contains__(key)


@pytest.fixture
def node() -> Iterator[Node]:
    context = Context()
    rclpy.init(context=context)
    made = rclpy.create_node("asking", context=context)
    executor = MultiThreadedExecutor(2, context=context)
    executor.add_node(made)
    thread = threading.Thread(target=executor.spin, daemon=True)
    thread.start()
    yield made
    executor.shutdown()
    thread.join(PATIENCE)
    made.destroy_node()
    context.try_shutdown()


def finish(handle: Any) -> RunEpisode.Result:
    handle.succeed()
    return RunEpisode.Result(steps=3)


def test_an_answer_that_comes_before_its_request_is_noted_is_heard(node: Node) -> None:
    server = ActionServer(node, RunEpisode, "quick", finish)
    client = QuickAnswers(node, RunEpisode, "quick")
    assert client.wait_for_server(PATIENCE)
    handle = answer_of(client.send_goal_async(RunEpisode.Goal()))
    assert handle.accepted
    assert answer_of(handle.get_result_async()).result.steps == 3
    client.destroy()
    server.destroy()
