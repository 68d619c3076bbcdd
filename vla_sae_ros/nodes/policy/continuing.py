"""Real-time chunking: which chunk an inference continues, and how late it will be."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass

import numpy as np

from vla_sae_ros.core.commander import Commander
from vla_sae_ros.core.steering import Snapshot
from vla_sae_ros.msg import ExecutedAction
from vla_sae_ros.nodes.policy.inference_worker import Job
from vla_sae_ros.policy.inference import Continued, ContinuingEngine, Inference

DELAYS_KEPT = 10
"""Chunks; the longest of their delays is expected of the next one, as lerobot's RTC engine does."""


@dataclass(frozen=True)
class _Published:
    """The chunk published last. behind: [ticks] executed since its observation, at its start."""

    chunk_id: int
    job: Job
    normalised: np.ndarray
    steered: bool
    behind: int


class Continuing:
    """Infers, each time with what is left of the chunk before.

    Nothing is continued into another episode, instruction or clock, across a person's commands or
    a hold; and no edited chunk is continued once no edit acts any more: after a bypass, a reset or
    a release, nothing of an edit lives on.

    `executed` is called on the executor's thread, everything else on the inference thread.

    Args:
        engine: does real-time chunking.
        start_ns: [ns] policy_start of its chunks.
    """

    def __init__(self, engine: ContinuingEngine, start_ns: int) -> None:
        self._engine, self._start_ns = engine, start_ns
        self._lock = threading.Lock()
        self._last: _Published | None = None
        self._behind, self._steered = 0, False  # of the inference that runs
        self._tick = ("", -1)  # episode and step of the tick executed last
        self._by_person = ("", -1)  # of the last one that a person commanded
        self._entered = 0  # chunk executed last
        self._delays: deque[int] = deque(maxlen=DELAYS_KEPT)
        self.continued = 0
        """How many chunks continued another."""

    @property
    def delay(self) -> int:
        """[ticks] expected from the start of an inference until its chunk is executed."""
        with self._lock:
            return max(self._delays, default=0)

    def infer(self, job: Job, snapshot: Snapshot) -> Inference:
        """Infer from a job's observation, continuing the chunk published last where that fits."""
        with self._lock:
            episode, step = self._tick
            self._behind = max(0, step + 1 - job.step) if episode == job.episode_id else 0
            self._steered = bool(snapshot.edits)
            previous = self._previous(job)
        self.continued += previous is not None
        noise = job.seed, job.step
        return self._engine.infer(job.frame, job.instruction, noise, snapshot, previous)

    def published(self, job: Job, inference: Inference, chunk_id: int) -> None:
        """Keep a chunk for the next inference."""
        assert inference.normalised is not None
        with self._lock:
            self._last = _Published(
                chunk_id, job, inference.normalised, self._steered, self._behind
            )

    def executed(self, tick: ExecutedAction) -> None:
        """Learn from an executed tick when chunks enter, and when they are not executed on."""
        with self._lock:
            self._tick = tick.episode_id, tick.step
            last = self._last
            if tick.source == Commander.PERSON.value:
                self._by_person = self._tick
            elif tick.source == Commander.HOLD.value:
                if last is not None and last.chunk_id == self._entered:
                    self._last = None
            elif tick.policy_start == self._start_ns and tick.chunk_id != self._entered:
                self._entered = tick.chunk_id
                if last is not None and last.chunk_id == tick.chunk_id:
                    self._delays.append(max(0, tick.chunk_index - last.behind))

    def _previous(self, job: Job) -> Continued | None:
        last = self._last
        if last is None or not self._goes_on(last, job):
            return None
        if last.steered and not self._steered:
            return None
        rest = last.normalised[job.step - last.job.step :]
        if not len(rest):
            return None
        delay = self._behind + max(self._delays, default=0)
        return Continued(rest, min(delay, len(rest)), last.chunk_id)

    def _goes_on(self, last: _Published, job: Job) -> bool:
        """Return whether a job's observation is a later one of the same episode, or the same."""
        was, (episode, step) = last.job, self._by_person
        return (
            _told(was) == _told(job)
            and was.step <= job.step
            and was.stamp_ns <= job.stamp_ns
            and not (episode == was.episode_id and step >= was.step)
        )


def _told(job: Job) -> tuple[object, ...]:
    return job.episode_id, job.start_ns, job.seed, job.instruction, job.instruction_revision
