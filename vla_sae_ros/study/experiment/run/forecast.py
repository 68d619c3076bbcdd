"""How long the rest of a study takes and what it needs on disk, from what was measured in it."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass

from vla_sae_ros.study.experiment.design.plan import Plan
from vla_sae_ros.study.experiment.run.store import StoredRuns


@dataclass(frozen=True)
class Forecast:
    """What is left of a study.

    hours: with `workers` workers; None while some kind of run has not been measured, see `unknown`.
    bytes: of the runs that are left; None before the first run.
    """

    left: int
    finished: int
    workers: int
    hours: float | None
    unknown: tuple[str, ...]
    bytes: float | None

    def in_words(self) -> str:
        """Return what is left, in sentences."""
        text = f"{self.finished} runs are finished, {self.left} are left."
        if not self.left:
            return f"All {self.finished} runs are finished."
        if self.hours is None:
            kinds = " and ".join(self.unknown)
            return (
                f"{text} There is no estimate of the time yet, because no run of kind {kinds} is "
                "finished. The option --limit 4 makes four runs; after that, --plan estimates the "
                "time."
            )
        workers = "1 worker" if self.workers == 1 else f"{self.workers} workers"
        size = f" and {self.bytes / 1e6:.0f} MB" if self.bytes is not None else ""
        return f"{text} They will take about {self.hours:.1f} h with {workers}{size}."


def forecast(plan: Plan, store: StoredRuns, workers: int) -> Forecast:
    """Predict from the mean wall time of the finished runs of each kind in this folder."""
    seconds: defaultdict[str, list[float]] = defaultdict(list)
    left: Counter[str] = Counter()
    for run in plan.runs:
        done = store.finished.get(run.run_id)
        if done is None:
            left[run.settings.kind] += 1
        else:
            seconds[run.settings.kind].append(done.outcome.seconds)
    unknown = tuple(kind for kind in left if not seconds[kind])
    total = sum(
        count * sum(seconds[kind]) / len(seconds[kind])
        for kind, count in left.items()
        if seconds[kind]
    )
    each = store.bytes_per_run()
    count = sum(left.values())
    return Forecast(
        count,
        len(plan.runs) - count,
        workers,
        None if unknown else total / workers / 3600,
        unknown,
        None if each is None else each * count,
    )
