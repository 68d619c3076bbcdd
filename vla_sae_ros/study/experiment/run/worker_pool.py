"""Workers that make runs side by side; losing one costs the run it was at and no other."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from vla_sae_ros.study.experiment.design.plan import PlannedRun
from vla_sae_ros.study.experiment.design.settings import RunSettings
from vla_sae_ros.study.experiment.records.outcome import Result
from vla_sae_ros.study.experiment.run.observing import Look, looks, run_observations
from vla_sae_ros.study.experiment.run.open_loop import run_latency, run_open_loop
from vla_sae_ros.study.experiment.run.rollouts import run_rollout
from vla_sae_ros.study.experiment.run.setup import SetupSpec
from vla_sae_ros.study.experiment.run.store import file_of

ATTEMPTS = 2
"""Times a run is begun before it is given up."""


@dataclass(frozen=True)
class Made:
    """A finished run. attempt: 1, or more where workers were lost on it."""

    run: PlannedRun
    result: Result
    attempt: int


@dataclass(frozen=True)
class Lost:
    """A run whose worker failed or died, and whether it is begun again; the worker is replaced."""

    run: PlannedRun
    reason: str
    again: bool


class Worker:
    """Opens the setup once, and makes runs on it.

    Args:
        spec: how to make the setup, policy and world.
        folder: of the study, where the observations for open loop lie.
    """

    def __init__(self, spec: SetupSpec, folder: Path) -> None:
        self._setup, self._folder = spec.open(), folder
        self._looked: tuple[tuple[str, ...], int, list[Look]] = ((), 0, [])

    def run(self, run: PlannedRun) -> Result:
        """Make one run."""
        settings = run.settings
        if settings.kind == "open_loop":
            return run_open_loop(self._setup, settings, self._looks(settings))
        if settings.kind == "latency":
            return run_latency(self._setup, settings, self._looks(settings))
        assert run.task is not None  # every rollout has one
        if settings.kind == "observations":
            return run_observations(self._setup, settings, run.task)
        return run_rollout(self._setup, settings, run.task, run.filmed)

    def close(self) -> None:
        self._setup.close()

    def _looks(self, settings: RunSettings) -> list[Look]:
        count = settings.steps if settings.kind == "open_loop" else 1
        if self._looked[:2] != (settings.sources, count):
            paths = [self._folder / file_of(run_id) for run_id in settings.sources]
            self._looked = (settings.sources, count, looks(paths, count))
        return self._looked[2]


class WorkerPool(Protocol):
    """Numbered workers, each at one run at a time."""

    @property
    def count(self) -> int: ...

    def give(self, worker: int, run: PlannedRun) -> None:
        """Let an idle worker make a run."""
        ...

    def wait(self) -> list[tuple[int, Result | str]]:
        """Wait until a worker is done; a text says why it failed, and it has been replaced.

        Raises:
            ConfigurationError: workers cannot even begin.
        """
        ...

    def close(self) -> None:
        """Stop every worker, whatever it is at."""
        ...


def made_by(pool: WorkerPool, runs: Sequence[PlannedRun]) -> Iterator[Made | Lost]:
    """Make the runs, begun in their order; yield each as it ends."""
    waiting = deque((run, 1) for run in runs)
    at: dict[int, tuple[PlannedRun, int]] = {}
    while waiting or at:
        for worker in range(pool.count):
            if waiting and worker not in at:
                at[worker] = waiting.popleft()
                pool.give(worker, at[worker][0])
        for worker, result in pool.wait():
            run, attempt = at.pop(worker)
            if isinstance(result, Result):
                yield Made(run, result, attempt)
                continue
            if attempt < ATTEMPTS:
                waiting.append((run, attempt + 1))
            yield Lost(run, result, attempt < ATTEMPTS)
