"""`vla-sae evaluate STUDY`: what steering features does, against every control."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.table import Table

from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.core.parameters import MAP_HELP
from vla_sae_ros.core.progress import CommandProgress
from vla_sae_ros.core.terminal import plain_console
from vla_sae_ros.policy.checkpoints.feature_match import read_map
from vla_sae_ros.policy.load_options import add_load_arguments, load_options
from vla_sae_ros.sim.environment import LIBERO
from vla_sae_ros.study.batches.side_by_side import players, said_batch
from vla_sae_ros.study.batches.sizes import add_batch_arguments, batch_on
from vla_sae_ros.study.experiment.design.plan import Plan, make_plan
from vla_sae_ros.study.experiment.design.study_file import load_study
from vla_sae_ros.study.experiment.measure.checks import hook_at_zero, unread_sites
from vla_sae_ros.study.experiment.records.table import STUDY_FILE, TABLE_FILE
from vla_sae_ros.study.experiment.report.study_report import write_study_report
from vla_sae_ros.study.experiment.run.answering import AnsweringSetup, AnsweringSetupSpec
from vla_sae_ros.study.experiment.run.batched_runs import BatchedRuns, RunPlayer, scene_of
from vla_sae_ros.study.experiment.run.evaluation import (
    Tally,
    all_cores,
    evaluate,
    missing,
    study_folder,
)
from vla_sae_ros.study.experiment.run.forecast import forecast
from vla_sae_ros.study.experiment.run.inputs import inputs_of, policy_of
from vla_sae_ros.study.experiment.run.processes import Processes
from vla_sae_ros.study.experiment.run.rows import rows_of
from vla_sae_ros.study.experiment.run.simulated_setup import SimulatedSetupSpec
from vla_sae_ros.study.experiment.run.store import LOST, Store, StoredRuns
from vla_sae_ros.study.experiment.run.worker_pool import WorkerPool
from vla_sae_ros.study.rollouts.compiling import add_compile_argument, refuse_batches
from vla_sae_ros.study.rollouts.picture_options import add_picture_arguments, told_pictures

REPORT_FILE = "report.html"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `vla-sae evaluate`."""
    parser.add_argument("study", type=Path, help="study file, e.g. config/studies/quick.yaml")
    parser.add_argument(
        "--out",
        type=Path,
        help="output folder; default: out/studies/NAME; existing runs are not repeated",
    )
    parser.add_argument("--map", default="", metavar="OFFERED=POLICY,...", help=MAP_HELP)
    add_load_arguments(parser)
    parser.add_argument("--plan", action="store_true", help="print the plan and stop")
    parser.add_argument(
        "--workers", type=int, default=0, help="number of workers; default: one per core"
    )
    parser.add_argument("--limit", type=int, default=0, help="maximum number of runs to make")
    add_picture_arguments(parser)
    add_batch_arguments(parser)
    add_compile_argument(parser)


def run(args: argparse.Namespace) -> int:
    """Plan, say so, and make what is missing; 1 where something did not come out as it must."""
    for name in ("workers", "limit"):
        if getattr(args, name) < 0:
            raise ConfigurationError(complaint(f"--{name}", getattr(args, name), "0 or more"))
    batch = batch_on(args.policy_batch, args.ray)
    if batch > 1 and args.workers and not args.ray:
        raise ConfigurationError(
            complaint("--workers beside --policy-batch", args.workers, "one of the two")
        )
    refuse_batches(args.compile, batch)
    study = load_study(args.study)
    pictures = (
        told_pictures(policy_of(study), args.render_quality, args.allow_other_pictures)
        if study.env == LIBERO
        else f"environment: {study.env}"
    )
    inputs, spec = inputs_of(
        study, args.render_quality, read_map(args.map), args.compile, load_options(args)
    )
    shared = AnsweringSetupSpec(spec).open() if batch > 1 else None
    if shared is not None:
        inputs = replace(inputs, policy_batch=said_batch(shared.engine, batch))
    plan = make_plan(study, inputs)
    console = plain_console(stderr=True)
    console.print(pictures, highlight=False)
    folder = args.out or study_folder(study.name)
    workers = args.workers or (batch if shared and not args.ray else all_cores())
    if args.plan:
        _say_plan(console, plan, StoredRuns(folder), workers)
        return 0
    with Store(folder) as store:
        shutil.copyfile(args.study, store.folder / STUDY_FILE)
        _say_plan(console, plan, store, workers)
        tally = Tally()
        if missing(plan, store):
            if args.compile:  # once: the workers find what was made in the cache
                spec.open(partial(console.print, highlight=False)).close()
            with _pools(args, workers, spec, store.folder, shared, batch) as pools:
                tally = _evaluate(plan, store, *pools, args.limit, console)
        unread = [name for name, site in inputs.sites.items() if not site.can_steer]
        status = _say_results(plan, store, tally, unread)
        if not missing(plan, store):
            write_study_report(store.folder, store.folder / REPORT_FILE)
        return status


def _evaluate(
    plan: Plan,
    store: Store,
    pool: WorkerPool,
    alone: WorkerPool | None,
    limit: int,
    console: Console,
) -> Tally:
    total = len(missing(plan, store)[: limit or None])
    with CommandProgress(console=console) as progress:
        bar = progress.add_task("runs", total=total)
        return evaluate(
            plan,
            store,
            pool,
            limit,
            progress.console.print,
            lambda run: progress.update(bar, advance=1, note=run.arms[0].name if run.arms else ""),
            alone,
        )


@contextmanager
def _pools(
    args: argparse.Namespace,
    workers: int,
    spec: SimulatedSetupSpec,
    folder: Path,
    shared: AnsweringSetup | None,
    batch: int,
) -> Iterator[tuple[WorkerPool, WorkerPool | None]]:
    """Yield who makes runs, and who makes those that are timed where that shares a policy."""
    folder = folder.resolve()
    pool: WorkerPool
    if shared is not None:
        scene = partial(scene_of, spec.env, spec.suite, spec.contract, spec.render_quality)
        make = partial(RunPlayer, scene, folder)
        most = args.workers or (10**6 if args.ray else workers)
        placed = AnsweringSetupSpec(spec)
        alone = Processes(1, spec, folder)
        try:
            with players(args.ray, placed, shared, make, batch, most) as found:
                yield BatchedRuns(found), alone
        finally:
            alone.close()
        return
    if args.ray:
        from vla_sae_ros.study.experiment.run.ray_actors import RayActors  # only where it is wanted

        pool = RayActors(args.ray, args.workers, spec, folder)
    else:
        pool = Processes(workers, spec, folder)
    try:
        yield pool, None
    finally:
        pool.close()


def _say_plan(console: Console, plan: Plan, store: StoredRuns, workers: int) -> None:
    table = Table(title=f"study {plan.study.name}")
    for heading in ("protocol", "arm", "runs"):
        table.add_column(heading, justify="right" if heading == "runs" else "left")
    for (protocol, arm), count in sorted(plan.counts().items()):
        table.add_row(protocol, arm, str(count))
    if kept := sum(not run.arms for run in plan.runs):
        table.add_row("P1", "(observations)", str(kept))
    console.print(table)
    console.print(forecast(plan, store, workers).in_words())


def _say_results(plan: Plan, store: Store, tally: Tally, unread: list[str]) -> int:
    rows = rows_of(plan, store)
    checks = {
        "hooks at strength 0": hook_at_zero(rows),
        f"steering {', '.join(unread)}, which nothing reads": unread_sites(rows, unread),
    }
    for what, found in checks.items():
        if found.compared:
            print(found.in_words(what))
    if any(row.compiled and row.arm == "zero" for row in rows):
        print("Compiled runs are not compared bit by bit: the plain ones have the taps, too.")
    if any(row.policy_batch > 1 and row.arm == "zero" for row in rows):
        print("Batched runs are not compared bit by bit: their neighbours decide how they round.")
    lost = f", {tally.lost} workers lost" if tally.lost else ""
    lost += f", {tally.given_up} runs given up (why: {LOST})" if tally.given_up else ""
    print(
        f"{tally.made} runs made{lost}; {len(store.finished)} in {store.folder}, "
        f"{len(rows)} rows in {store.folder / TABLE_FILE}."
    )
    return int(bool(tally.given_up or any(found.differing for found in checks.values())))
