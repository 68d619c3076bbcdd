"""`run_episode`, as every bridge serves it: one episode at a time, each with a result."""

from __future__ import annotations

import threading
from collections.abc import Callable

from rclpy.action.server import ActionServer, CancelResponse, ServerGoalHandle
from rclpy.node import Node
from rclpy.task import Future

from vla_sae_ros.action import RunEpisode
from vla_sae_ros.core.episode_status import EpisodeStatus
from vla_sae_ros.core.errors import ConfigurationError, SimulationError, VlaSaeError, bounded
from vla_sae_ros.msg import EpisodeState
from vla_sae_ros.nodes.episode.episode import EpisodeGoal, EpisodeResult


class EpisodeServer:
    """Offers `run_episode` on a node.

    A goal that cannot be run, or comes while another runs, is accepted and at once aborted: a
    rejection could not carry the reason.

    Args:
        plan: returns what to run, or raises VlaSaeError with the reason why not.
        start: begins the episode; whoever runs it gives the future its result or exception.
        cancel: ends the episode that runs, so that the future gets its result soon.
    """

    def __init__(
        self,
        node: Node,
        plan: Callable[[RunEpisode.Goal], EpisodeGoal],
        start: Callable[[EpisodeGoal, Future], None],
        cancel: Callable[[], None],
    ) -> None:
        self._node, self._plan, self._start, self._cancel = node, plan, start, cancel
        self._running: ServerGoalHandle | None = None
        self._finished: Future | None = None
        self._idle = threading.Event()
        self._step = 0
        self._server = ActionServer(
            node, RunEpisode, "run_episode", self._execute, cancel_callback=self._on_cancel
        )

    def end(self, limit: float) -> None:
        """Let a running goal have its result: the bridge ends. Waits at most about `limit` [s].

        Call it on another thread than the executor's, while that still runs.
        """
        if self._running is None:
            return
        self._cancel()
        if not self._idle.wait(limit) and self._finished is not None:
            self._finished.set_exception(SimulationError("the bridge ends in mid-episode"))
            self._idle.wait(limit)
        executor, sent = self._node.executor, threading.Event()
        if executor is not None:  # what rclpy does to send the result stands before this in line
            executor.create_task(lambda: executor.create_task(sent.set))
            sent.wait(limit)

    def destroy(self) -> None:
        """Take the action off the node."""
        self._server.destroy()

    def feed_back(self, state: EpisodeState) -> None:
        """Tell the goal's client, if there is one, how far the episode is; on any thread."""
        running = self._running
        if running is not None:
            self._step = state.step
            running.publish_feedback(RunEpisode.Feedback(state=state))

    async def _execute(self, handle: ServerGoalHandle) -> RunEpisode.Result:
        try:
            self._refuse_a_second()
            goal = self._plan(handle.request)
        except VlaSaeError as refusal:
            reason = bounded(str(refusal))
            self._node.get_logger().warning(f"goal refused: {reason}")
            handle.abort()
            return RunEpisode.Result(message=reason)
        finished = Future(executor=self._node.executor)
        # rclpy looks at a waiting coroutine only when something wakes the executor: this does.
        finished.add_done_callback(lambda _: None)
        self._running, self._step, self._finished = handle, 0, finished
        self._idle.clear()
        try:
            self._start(goal, finished)
            result: EpisodeResult = await finished
        except Exception as error:  # from outside this package: the bridge must live on
            reason = bounded(repr(error))
            self._node.get_logger().error(f"episode {goal.episode_id} broke off: {reason}")
            handle.abort()
            return RunEpisode.Result(episode_id=goal.episode_id, message=reason)
        finally:
            self._running = self._finished = None
            self._idle.set()
        self._node.get_logger().info(f"episode {goal.episode_id}: {result.progress.detail}")
        _conclude(handle, result.progress.status)
        return to_result(goal, result)

    def _refuse_a_second(self) -> None:
        if self._running is not None:
            raise ConfigurationError(
                f"An episode is running (step {self._step}). Cancel it or wait for its end."
            )

    def _on_cancel(self, handle: ServerGoalHandle) -> CancelResponse:
        running = self._running
        if running is None or running.goal_id != handle.goal_id:
            return CancelResponse.REJECT  # it has just ended
        self._cancel()
        return CancelResponse.ACCEPT


def to_result(goal: EpisodeGoal, result: EpisodeResult) -> RunEpisode.Result:
    """Return the message of how an episode ended."""
    progress, counts = result.progress, result.progress.counts
    return RunEpisode.Result(
        episode_id=goal.episode_id,
        success=progress.status is EpisodeStatus.SUCCEEDED,
        steps=progress.step,
        actions_sha256=result.actions_sha256,
        missed_deadlines=counts.missed_deadlines,
        held_ticks=counts.held_ticks,
        dropped_chunks=counts.dropped_chunks,
        message=bounded(progress.detail),
    )


def _conclude(handle: ServerGoalHandle, status: EpisodeStatus) -> None:
    """End the goal as the episode ended."""
    if status in (EpisodeStatus.SUCCEEDED, EpisodeStatus.FAILED):
        handle.succeed()  # the goal was to run the episode; `success` says how the task went
    elif status is EpisodeStatus.CANCELED and handle.is_cancel_requested:
        handle.canceled()
    else:
        handle.abort()
