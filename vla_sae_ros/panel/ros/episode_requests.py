"""Starting and canceling episodes without waiting: the action RunEpisode."""

from __future__ import annotations

from typing import Any

from action_msgs.msg import GoalStatus
from action_msgs.srv import CancelGoal
from rclpy.node import Node

from vla_sae_ros.action import RunEpisode
from vla_sae_ros.panel.state.mailbox import Inbox
from vla_sae_ros.panel.state.values import EpisodeGoal, RequestResult
from vla_sae_ros.panel.widgets.guard import guarded
from vla_sae_ros.wire.action_client import ActionClient


class EpisodeRequests:
    """One goal at a time; how it ends comes as an outcome."""

    def __init__(self, node: Node, outcomes: Inbox[RequestResult]) -> None:
        """Create the action client on `node`."""
        self._node, self._outcomes = node, outcomes
        self._client = ActionClient(node, RunEpisode, "run_episode")
        self._cancel = node.create_client(CancelGoal, "run_episode/_action/cancel_goal")

    @property
    def offered(self) -> bool:
        """Somebody offers the action."""
        return bool(self._client.server_is_ready())

    def run(self, goal: EpisodeGoal) -> bool:
        """Send the goal; False if nobody offers the action."""
        if not self.offered:
            self._outcomes.put(RequestResult(False, "episode: not started, no bridge offers it"))
            return False
        request = RunEpisode.Goal(
            suite=goal.suite,
            task=goal.task,
            init_state=goal.init_state,
            seed=goal.seed,
            instruction=goal.instruction,
            max_steps=goal.max_steps,
            clock=goal.clock,
        )
        self._client.send_goal_async(request).add_done_callback(self._answered)
        return True

    def cancel(self) -> bool:
        """Cancel the episode that runs, whoever started it; False if nobody offers the action."""
        if not self.offered:
            self._outcomes.put(RequestResult(False, "cancel: not sent, no bridge offers episodes"))
            return False
        # A request without a goal and a time means every goal (CancelGoal.srv).
        self._cancel.call_async(CancelGoal.Request()).add_done_callback(self._canceled)
        return True

    def close(self) -> None:
        """Take the clients off the node."""
        self._client.destroy()
        self._node.destroy_client(self._cancel)

    @guarded()
    def _answered(self, future: Any) -> None:
        handle = future.result()
        if not handle.accepted:
            self._outcomes.put(
                RequestResult(False, "episode REFUSED by the bridge; its log says why")
            )
            return
        handle.get_result_async().add_done_callback(self._ended)

    @guarded()
    def _canceled(self, future: Any) -> None:
        if future.result().goals_canceling:
            self._outcomes.put(RequestResult(True, "cancel: accepted"))
        else:
            self._outcomes.put(RequestResult(False, "cancel: the bridge has nothing to cancel"))

    @guarded()
    def _ended(self, future: Any) -> None:
        answer = future.result()
        if answer.status == GoalStatus.STATUS_SUCCEEDED:
            words = "success" if answer.result.success else "no success"
            self._outcomes.put(
                RequestResult(True, f"episode: {words} after {answer.result.steps} steps")
            )
        else:
            self._outcomes.put(RequestResult(False, f"episode broke off: {answer.result.message}"))
