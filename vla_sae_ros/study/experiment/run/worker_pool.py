"""Workers that make runs side by side; losing one costs the run it was at and no other."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from vla_sae_ros.study.experiment.design.plan import PlannedRun
from vla_sae_ros.study.experiment.records.outcome import Result

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
