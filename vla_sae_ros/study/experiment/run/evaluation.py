"""Making the runs of a plan that are not there yet."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from vla_sae_ros.core.errors import RecordingError, complaint
from vla_sae_ros.study.experiment.design.plan import Plan, PlannedRun
from vla_sae_ros.study.experiment.records.table import write_table
from vla_sae_ros.study.experiment.run.rows import rows_of
from vla_sae_ros.study.experiment.run.store import LOST, Store
from vla_sae_ros.study.experiment.run.worker_pool import Lost, WorkerPool, made_by

TABLE_EVERY = 60.0
"""[s] between tables while a study runs."""


@dataclass
class Tally:
    """What an evaluation did. lost: workers that failed or died; given_up: runs without result."""

    made: int = 0
    lost: int = 0
    given_up: int = 0


def missing(plan: Plan, store: Store) -> list[PlannedRun]:
    """Return the runs that the store does not have, in the plan's order."""
    return [run for run in plan.runs if run.run_id not in store.finished]


def evaluate(
    plan: Plan,
    store: Store,
    pool: WorkerPool,
    limit: int = 0,
    said: Callable[[str], None] = print,
    finished: Callable[[PlannedRun], None] = lambda run: None,
    alone: WorkerPool | None = None,
) -> Tally:
    """Make what is missing, keep each run as it ends, and write the table.

    Args:
        plan: what is wanted.
        store: what is there, and where it goes.
        pool: the workers; the caller closes them.
        limit: make so many runs at most; 0: all.
        said: told about every worker that is lost.
        finished: told about every run that is kept.
        alone: makes the runs that need a policy of their own, where `pool`'s share one; the caller
            closes it.

    Raises:
        RecordingError: observations that the rest needs could not be made.
    """
    tally = Tally()
    runs = missing(plan, store)[: limit or None]
    first = [run for run in runs if run.settings.kind == "observations"]
    try:
        _make(first, plan, store, pool, tally, said, finished)
        later = [run for run in runs if run.settings.kind != "observations"]
        _check_sources(later, store)
        if alone is not None:
            own = [run for run in later if run.settings.needs_own_policy]
            _make(own, plan, store, alone, tally, said, finished)
            later = [run for run in later if not run.settings.needs_own_policy]
        _make(later, plan, store, pool, tally, said, finished)
    finally:
        write_table(store.folder, rows_of(plan, store))
    return tally


def _make(
    runs: list[PlannedRun],
    plan: Plan,
    store: Store,
    pool: WorkerPool,
    tally: Tally,
    said: Callable[[str], None],
    finished: Callable[[PlannedRun], None],
) -> None:
    written = time.monotonic()
    for event in made_by(pool, runs):
        if isinstance(event, Lost):
            tally.lost += 1
            tally.given_up += not event.again
            store.add_lost(event.run.settings, event.reason, event.again)
            what = "it is begun again" if event.again else "it is given up"
            said(f"run {event.run.run_id} was lost, {what}: {event.reason}")
            continue
        store.add(event.run.settings, event.result, event.attempt)
        tally.made += 1
        finished(event.run)
        if time.monotonic() - written > TABLE_EVERY:
            write_table(store.folder, rows_of(plan, store))
            written = time.monotonic()


def _check_sources(runs: list[PlannedRun], store: Store) -> None:
    """Refuse to begin what cannot be answered for want of observations."""
    injected = [run.settings for run in runs if run.settings.injection is not None]
    lost = {source for one in injected for source in one.sources} - set(store.finished)
    if lost:
        raise RecordingError(
            f"The donors' plain rollouts {', '.join(sorted(lost))} could not be made, and nothing "
            f"can be injected without them. {LOST} says why; finished runs are kept."
        )
    looked = [run.settings for run in runs if run.settings.injection is None]
    sources = {source for one in looked for source in one.sources}
    found = sum(store.finished[one].outcome.steps for one in sources if one in store.finished)
    looking = [run.settings for run in runs if run.settings.kind == "open_loop"]
    needed = max((one.steps for one in looking), default=0)
    if not sources <= set(store.finished) or found < needed:
        raise RecordingError(
            complaint(
                "observations of the plain rollouts",
                found,
                f"{needed} for the open loop",
                "Ask for fewer (observations.count), for shorter steps between them "
                "(observations.every) or for more rollouts; finished runs are kept.",
            )
        )


def all_cores() -> int:
    """Return how many workers use this machine whole."""
    return len(os.sched_getaffinity(0))


def study_folder(name: str) -> Path:
    """Return where a study goes when nobody says so."""
    return Path("out") / "studies" / name
