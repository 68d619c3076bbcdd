"""What every bridge's `run_episode` action does with an episode's progress."""

from __future__ import annotations

from rclpy.action.server import ServerGoalHandle

from vla_sae_ros.action import RunEpisode
from vla_sae_ros.msg import EpisodeState
from vla_sae_ros.nodes.episode.episode import EpisodeGoal, EpisodeResult, Status


def feed_back(handle: ServerGoalHandle, state: EpisodeState) -> None:
    """Tell the goal's client how far the episode is."""
    handle.publish_feedback(RunEpisode.Feedback(state=state))


def conclude(handle: ServerGoalHandle, status: Status) -> None:
    """End the goal as the episode ended."""
    if status in (Status.SUCCEEDED, Status.FAILED):
        handle.succeed()  # the goal was to run the episode; `success` says how the task went
    elif status is Status.CANCELED and handle.is_cancel_requested:
        handle.canceled()
    else:
        handle.abort()


def to_result(goal: EpisodeGoal, result: EpisodeResult) -> RunEpisode.Result:
    """Return the message of how an episode ended."""
    progress, counts = result.progress, result.progress.counts
    return RunEpisode.Result(
        episode_id=goal.episode_id,
        success=progress.status is Status.SUCCEEDED,
        steps=progress.step,
        actions_sha256=result.actions_sha256,
        missed_deadlines=counts.missed_deadlines,
        held_ticks=counts.held_ticks,
        dropped_chunks=counts.dropped_chunks,
        message=progress.detail,
    )
