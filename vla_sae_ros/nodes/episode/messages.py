"""Between an episode's values and its ROS messages."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus, KeyValue

from vla_sae_ros.core.chunk_queue import Chunk
from vla_sae_ros.core.episode_status import EpisodeStatus
from vla_sae_ros.msg import ActionChunk, ChunkRequest, EpisodeState, ExecutedAction
from vla_sae_ros.nodes.episode.episode import EpisodeClock, ExecutedTick, Progress, Request
from vla_sae_ros.wire.conversions import to_floats, to_header, to_time

CLOCKS = {
    EpisodeClock.LOCKSTEP: EpisodeState.LOCKSTEP,
    EpisodeClock.REALTIME: EpisodeState.REALTIME,
}


def from_chunk(message: ActionChunk) -> Chunk:
    """Return the chunk; one whose sizes contradict each other keeps a flat array, which the queue
    refuses as malformed."""
    actions = np.array(message.actions, dtype=np.float32)
    if actions.size == message.horizon * message.action_dim:
        actions = actions.reshape(message.horizon, message.action_dim)
    return Chunk(
        message.chunk_id,
        message.episode_id,
        message.observation_step,
        message.steering_revision,
        actions,
        message.control_rate,
        message.policy_start,
    )


def to_request(request: Request) -> ChunkRequest:
    """Return the message that asks for a chunk."""
    return ChunkRequest(
        header=to_header(request.stamp_ns),
        episode_id=request.goal.episode_id,
        instruction=request.goal.instruction,
        start=to_time(request.start_ns),
        seed=request.goal.seed,
        step=request.step,
        observation_age=request.age,
        instruction_revision=request.goal.instruction_revision,
    )


def to_executed(tick: ExecutedTick) -> ExecutedAction:
    """Return the message of one executed tick."""
    message = ExecutedAction(
        header=to_header(tick.stamp_ns),
        episode_id=tick.episode_id,
        step=tick.step,
        held=tick.held,
        action=to_floats(tick.action),
        lateness=tick.lateness,
        source=int(tick.commander),
    )
    if tick.planned is not None:
        message.chunk_id = tick.planned.chunk_id
        message.chunk_index = tick.planned.chunk_index
        message.steering_revision = tick.planned.steering_revision
        message.policy_start = tick.planned.policy_start_ns
    return message


def to_state(progress: Progress, control_rate: float) -> EpisodeState:
    """Return the message of an episode's progress; control_rate in Hz."""
    counts, goal = progress.counts, progress.goal
    message = EpisodeState(
        header=to_header(progress.stamp_ns),
        start=to_time(progress.start_ns),
        status=int(progress.status),
        detail=progress.detail,
        step=progress.step,
        task=-1,
        init_state=-1,
        control_rate=control_rate,
        missed_deadlines=counts.missed_deadlines,
        held_ticks=counts.held_ticks,
        dropped_chunks=counts.dropped_chunks,
        observation_age=counts.observation_age,
        observations=counts.observations,
        renderer_restarts=counts.renderer_restarts,
    )
    if goal is not None:
        message.episode_id, message.instruction = goal.episode_id, goal.instruction
        message.instruction_revision = goal.instruction_revision
        if goal.task is not None:
            message.suite, message.task = goal.task.suite, goal.task.task_index
        message.init_state, message.seed = goal.init_state, goal.seed
        message.max_steps, message.clock = goal.max_steps, CLOCKS[goal.clock]
    return message


def to_diagnostic(
    progress: Progress,
    chunks_without_episode: int,
    more: Mapping[str, object] = MappingProxyType({}),
) -> DiagnosticStatus:
    """Return what /diagnostics says of the bridge; `more` comes last."""
    counts = progress.counts
    values = {
        "episode": progress.goal.episode_id if progress.goal else "",
        "step": progress.step,
        "missed deadlines": counts.missed_deadlines,
        "worst lateness [ms]": f"{1000 * counts.worst_lateness:.1f}",
        "held ticks": counts.held_ticks,
        "dropped chunks": counts.dropped_chunks,
        "last refused chunk": counts.last_refusal,
        "requests sent again": counts.resent_requests,
        "clipped actions": counts.clipped_actions,
        "observations": counts.observations,
        "observation rate [Hz]": f"{_rate(progress):.1f}",
        "observation age [ms]": f"{1000 * counts.observation_age:.0f}",
        "greatest observation age [ms]": f"{1000 * counts.worst_observation_age:.0f}",
        "skipped pictures": counts.skipped_pictures,
        "renderer restarts": counts.renderer_restarts,
        "renderer": counts.renderer_trouble,
        "chunks without an episode": chunks_without_episode,
        **more,
    }
    return DiagnosticStatus(
        level=_level(progress),
        name="bridge: episode",
        hardware_id="simulation",
        message=progress.detail or progress.status.words,
        values=[KeyValue(key=key, value=str(value)) for key, value in values.items()],
    )


def _rate(progress: Progress) -> float:
    """Return the mean number of observations per second of the episode's own time."""
    seconds = (progress.stamp_ns - progress.start_ns) / 1e9
    return progress.counts.observations / seconds if seconds > 0 else 0.0


def _level(progress: Progress) -> bytes:
    if progress.status is EpisodeStatus.ERROR:
        return DiagnosticStatus.ERROR
    running = progress.status in (EpisodeStatus.RUNNING, EpisodeStatus.HOLDING)
    counts = progress.counts
    troubled = counts.missed_deadlines or counts.held_ticks or counts.renderer_restarts
    if progress.status is EpisodeStatus.HOLDING or (running and troubled):
        return DiagnosticStatus.WARN
    return DiagnosticStatus.OK
