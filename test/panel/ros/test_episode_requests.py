"""Episodes over real DDS against a fake bridge."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import rclpy
from patience import PATIENCE, eventually
from rclpy.action import ActionServer, CancelResponse
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.context import Context
from rclpy.executors import MultiThreadedExecutor
from rclpy.node import Node

from vla_sae_ros.action import RunEpisode
from vla_sae_ros.panel.ros.episode_requests import EpisodeRequests
from vla_sae_ros.panel.state.mailbox import Inbox
from vla_sae_ros.panel.state.values import EpisodeGoal, RequestResult

GOAL = EpisodeGoal("libero_object", 2, 41, 7, "pick up the soup", 100, "lockstep")


class FakeBridge:
    """Runs an episode until it is canceled, on a node that panels' requests live on, too."""

    def __init__(self) -> None:
        self.context = Context()
        rclpy.init(context=self.context)
        self.node = Node("bridge", context=self.context)
        self.goals: list[RunEpisode.Goal] = []
        self.running, self._stop = threading.Event(), threading.Event()
        self.server: ActionServer | None = None
        self.executor = MultiThreadedExecutor(4, context=self.context)
        self.executor.add_node(self.node)
        self.thread = threading.Thread(target=self.executor.spin, daemon=True)
        self.thread.start()

    def offer(self) -> None:
        self.server = ActionServer(
            self.node,
            RunEpisode,
            "run_episode",
            self._run,
            cancel_callback=self._cancel,
            callback_group=ReentrantCallbackGroup(),
        )

    def _cancel(self, _handle) -> CancelResponse:
        self._stop.set()
        return CancelResponse.ACCEPT

    def _run(self, handle) -> RunEpisode.Result:
        self.goals.append(handle.request)
        self._stop.clear()
        self.running.set()
        assert self._stop.wait(PATIENCE)
        handle.canceled()
        return RunEpisode.Result(message="canceled at step 3")

    def close(self) -> None:
        self._stop.set()
        self.executor.shutdown()
        self.thread.join(PATIENCE)
        if self.server is not None:
            self.server.destroy()
        self.node.destroy_node()
        rclpy.shutdown(context=self.context)


@pytest.fixture
def bridge() -> Iterator[FakeBridge]:
    made = FakeBridge()
    yield made
    made.close()


def heard(outcomes: Inbox[RequestResult], words: str) -> RequestResult:
    """Wait for an outcome that contains `words`."""
    found: list[RequestResult] = []

    def done() -> bool:
        found.extend(each for each in outcomes.take() if words in each.text)
        return bool(found)

    eventually(done)
    return found[0]


def test_an_episode_of_another_panel_can_be_canceled(bridge) -> None:
    mine, others = Inbox(), Inbox()
    panel, other = EpisodeRequests(bridge.node, mine), EpisodeRequests(bridge.node, others)
    bridge.offer()
    eventually(lambda: panel.offered and other.offered)
    assert other.run(GOAL)
    assert bridge.running.wait(PATIENCE)
    goal = bridge.goals[0]
    assert (
        goal.suite,
        goal.task,
        goal.init_state,
        goal.seed,
        goal.instruction,
        goal.max_steps,
        goal.clock,
    ) == ("libero_object", 2, 41, 7, "pick up the soup", 100, "lockstep")
    assert panel.cancel()
    assert heard(mine, "cancel").accepted
    ended = heard(others, "broke off")
    assert not ended.accepted and "canceled at step 3" in ended.text


def test_canceling_nothing_says_so(bridge) -> None:
    outcomes: Inbox[RequestResult] = Inbox()
    panel = EpisodeRequests(bridge.node, outcomes)
    bridge.offer()
    eventually(lambda: panel.offered)
    panel.cancel()
    assert not heard(outcomes, "nothing to cancel").accepted


def test_without_a_bridge_nothing_is_sent(bridge) -> None:
    outcomes: Inbox[RequestResult] = Inbox()
    panel = EpisodeRequests(bridge.node, outcomes)
    assert not panel.run(GOAL) and not panel.cancel()
    assert [each.accepted for each in outcomes.take()] == [False, False]
