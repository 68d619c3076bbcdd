"""The thread that infers, so that no callback ever waits for the model."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from vla_sae_ros.core.errors import ObservationError
from vla_sae_ros.core.steering import Snapshot, Steering
from vla_sae_ros.core.steering.condition import Readings, feature_readings
from vla_sae_ros.policy.inference import Engine, Inference

NANOSECONDS = 1e9


@dataclass(frozen=True)
class Job:
    """One observation to infer from.

    Attributes:
        frame: policy feature -> value, see `Engine.infer`.
        instruction: what the policy is told to do.
        episode_id: of the episode the observation belongs to.
        stamp_ns, start_ns: [ns] stamps of the observation and of the episode's first one.
        seed: of the episode.
        step: control ticks executed when the observation was made.
        replan: asked for by a steering change, not by the bridge.
        instruction_revision: of the change that the instruction is from; 0: of none.
    """

    frame: Mapping[str, np.ndarray]
    instruction: str
    episode_id: str
    stamp_ns: int
    start_ns: int
    seed: int
    step: int
    replan: bool = False
    instruction_revision: int = 0


def infer_with(engine: Engine) -> Callable[[Job, Snapshot], Inference]:
    """Return what infers jobs with an engine. Raises ObservationError, see `Engine.infer`."""
    return lambda job, snapshot: engine.infer(
        job.frame, job.instruction, (job.seed, job.step), snapshot
    )


class InferenceWorker:
    """Runs the newest job; one that waits when a newer one comes is superseded and counted.

    Args:
        infer: gives the inference of a job under the steering that is applied; called by this
            thread only.
        steering: told which sites were capped.
        begin: gives the snapshot for (observation time, episode's start) [s] and the readings of
            the observation when a job starts, so that the newest change always counts.
        on_actions: called on the worker's thread with the job and its inference, whose actions a
            robot waits for; nothing has been read out yet.
        on_done: called on the worker's thread after that, read out.
        on_refused: called on the worker's thread when the observation was refused.
        readings: what conditions of edits can read of a job's observation.
    """

    def __init__(
        self,
        infer: Callable[[Job, Snapshot], Inference],
        steering: Steering,
        begin: Callable[[float, float, Readings], Snapshot],
        on_actions: Callable[[Job, Inference], None],
        on_done: Callable[[Job, Inference], None],
        on_refused: Callable[[Job, ObservationError], None],
        readings: Callable[[Job], Readings] = lambda _job: {},
    ) -> None:
        self._infer_job, self._steering, self._begin = infer, steering, begin
        self._on_actions, self._on_done, self._on_refused = on_actions, on_done, on_refused
        self._readings = readings
        self._condition = threading.Condition()
        self._waiting: Job | None = None
        self._running: tuple[Job, int] | None = None  # with the steering revision it started with
        self._stopping = False
        self.superseded = 0
        self.failure: BaseException | None = None
        """What killed the thread; whoever owns the worker must look at it."""
        self._thread = threading.Thread(target=self._run, name="inference", daemon=True)
        self._thread.start()

    def submit(self, job: Job) -> None:
        """Infer from this job next; a replan only where no other job waits."""
        with self._condition:
            if self._is_running(job):
                return
            waiting = self._waiting
            if waiting is not None:
                self.superseded += 1
                # What was asked for last counts, not what is stamped last: a clock may jump back.
                # A waiting job takes the steering as it is when it starts, so a replan, from the
                # observation that was asked for last, has nothing to add to it.
                if job.replan:
                    return
            self._waiting = job
            self._condition.notify()

    def stop(self) -> None:
        """Finish the running inference, drop the waiting one and end the thread."""
        with self._condition:
            self._stopping = True
            self._condition.notify()
        self._thread.join()

    def _run(self) -> None:
        try:
            while (job := self._next()) is not None:
                self._infer(job)
        except BaseException as error:  # reported by the owner, which sees `failure`
            self.failure = error

    def _next(self) -> Job | None:
        with self._condition:
            self._condition.wait_for(lambda: self._stopping or self._waiting is not None)
            job, self._waiting = self._waiting, None
            return None if self._stopping else job

    def _is_running(self, job: Job) -> bool:
        """Whether this observation is being inferred from already, with the present steering.

        A bridge that waits asks again; a model that is slower than its patience must not fall
        behind by working twice.
        """
        if self._running is None:
            return False
        running, revision = self._running
        return _asked(running) == _asked(job) and revision == self._steering.revision

    def _infer(self, job: Job) -> None:
        snapshot = self._begin(
            job.stamp_ns / NANOSECONDS, job.start_ns / NANOSECONDS, self._readings(job)
        )
        self._running = (job, snapshot.revision)
        try:
            self._work(job, snapshot)
        finally:
            self._running = None

    def _work(self, job: Job, snapshot: Snapshot) -> None:
        try:
            inference = self._infer_job(job, snapshot)
        except ObservationError as error:
            self._on_refused(job, error)
            return
        self._on_actions(job, inference)
        for site in inference.sites:
            self._steering.report_capped(site.site, site.capped)
        self._steering.read_out(
            job.stamp_ns / NANOSECONDS,
            feature_readings(inference.sites, self._steering.wanted_features),
        )
        self._on_done(job, inference)


def _asked(job: Job) -> tuple[str, int, int, str]:
    """Return what a chunk is asked for; after a clock's jump back the stamp says it no more."""
    return job.episode_id, job.step, job.stamp_ns, job.instruction
