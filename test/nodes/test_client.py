"""The script client against a fake bridge, over real DDS."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import rclpy
from rclpy.action.server import ActionServer, ServerGoalHandle
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor

from vla_sae_ros.action import RunEpisode
from vla_sae_ros.core.errors import SimulationError
from vla_sae_ros.nodes.client import Client


@pytest.fixture
def fake_bridge(ros_context: Context) -> Iterator[None]:
    """Answers every goal at once; aborts the one of an unknown suite."""
    node = rclpy.create_node("fake_bridge", context=ros_context)

    def run(handle: ServerGoalHandle) -> RunEpisode.Result:
        goal = handle.request
        if goal.suite == "unknown":
            handle.abort()
            return RunEpisode.Result(message="Unknown suite")
        handle.succeed()
        return RunEpisode.Result(episode_id="e1", success=True, steps=goal.max_steps)

    server = ActionServer(node, RunEpisode, "run_episode", run)
    executor = SingleThreadedExecutor(context=ros_context)
    executor.add_node(node)
    thread = threading.Thread(target=executor.spin, daemon=True)
    thread.start()
    yield
    executor.shutdown()
    thread.join()
    server.destroy()
    node.destroy_node()


def test_an_episode_can_be_asked_for_before_the_bridge_was_discovered(fake_bridge: None) -> None:
    with Client("test_client") as client:
        result = client.run_episode("libero_object", 0, max_steps=7)
    assert (result.success, result.steps) == (True, 7)


def test_an_episode_that_breaks_off_raises_the_bridges_reason(fake_bridge: None) -> None:
    with Client("test_client") as client, pytest.raises(SimulationError, match="Unknown suite"):
        client.run_episode("unknown", 0)
