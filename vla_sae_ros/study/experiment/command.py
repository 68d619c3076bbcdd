"""`vla-sae evaluate STUDY`: what steering features does, against every control."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.table import Table

from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.core.progress import CommandProgress
from vla_sae_ros.sim.environment import LIBERO
from vla_sae_ros.study.experiment.design.plan import Plan, make_plan
from vla_sae_ros.study.experiment.design.study_file import load_study
from vla_sae_ros.study.experiment.measure.checks import hook_at_zero, unread_sites
from vla_sae_ros.study.experiment.records.table import TABLE_FILE
from vla_sae_ros.study.experiment.report.study_report import write_study_report
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
from vla_sae_ros.study.experiment.run.setup import SetupSpec
from vla_sae_ros.study.experiment.run.store import LOST, Store
from vla_sae_ros.study.experiment.run.worker_pool import WorkerPool
from vla_sae_ros.study.rollouts.picture_options import add_picture_arguments, told_pictures

REPORT_FILE = "report.html"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `vla-sae evaluate`."""
    parser.add_argument("study", type=Path, help="study file, e.g. config/studies/quick.yaml")
    parser.add_argument(
        "--out",
        type=Path,
        help="folder; default: out/studies/NAME; what is there already is not made again",
    )
    parser.add_argument("--plan", action="store_true", help="say what would be made, and stop")
    parser.add_argument("--workers", type=int, default=0, help="default: one per core")
    parser.add_argument("--limit", type=int, default=0, help="make so many runs at most")
    add_picture_arguments(parser)
    parser.add_argument("--ray", metavar="ADDRESS", help='on a Ray cluster: "auto" or host:port')


def run(args: argparse.Namespace) -> int:
    """Plan, say so, and make what is missing; 1 where something did not come out as it must."""
    for name in ("workers", "limit"):
        if getattr(args, name) < 0:
            raise ConfigurationError(complaint(f"--{name}", getattr(args, name), "0 or more"))
    study = load_study(args.study)
    pictures = (
        told_pictures(policy_of(study), args.render_quality, args.allow_other_pictures)
        if study.env == LIBERO
        else f"environment: {study.env}"
    )
    inputs, spec = inputs_of(study, args.render_quality)
    plan = make_plan(study, inputs)
    console = Console(stderr=True)
    console.print(pictures, highlight=False)
    with Store(args.out or study_folder(study.name)) as store:
        shutil.copyfile(args.study, store.folder / "study.yaml")
        workers = args.workers or all_cores()
        _say_plan(console, plan, store, workers)
        tally = Tally()
        if not args.plan and missing(plan, store):
            with _pool(args, workers, spec, store.folder) as pool:
                tally = _evaluate(plan, store, pool, args.limit, console)
        if args.plan:
            return 0
        unread = [name for name, site in inputs.sites.items() if not site.can_steer]
        status = _say_results(plan, store, tally, unread)
        if not missing(plan, store):
            write_study_report(store.folder, store.folder / REPORT_FILE)
        return status


def _evaluate(plan: Plan, store: Store, pool: WorkerPool, limit: int, console: Console) -> Tally:
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
        )


@contextmanager
def _pool(
    args: argparse.Namespace, workers: int, spec: SetupSpec, folder: Path
) -> Iterator[WorkerPool]:
    pool: WorkerPool
    if args.ray:
        from vla_sae_ros.study.experiment.run.ray_actors import RayActors  # only where it is wanted

        pool = RayActors(args.ray, args.workers, spec, folder.resolve())
    else:
        pool = Processes(workers, spec, folder.resolve())
    try:
        yield pool
    finally:
        pool.close()


def _say_plan(console: Console, plan: Plan, store: Store, workers: int) -> None:
    table = Table(title=f"study {plan.study.name}")
    for heading in ("protocol", "arm", "runs"):
        table.add_column(heading, justify="right" if heading == "runs" else "left")
    for (protocol, arm), count in sorted(plan.counts().items()):
        table.add_row(protocol, arm, str(count))
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
    lost = f", {tally.lost} workers lost" if tally.lost else ""
    lost += f", {tally.given_up} runs given up (why: {LOST})" if tally.given_up else ""
    print(
        f"{tally.made} runs made{lost}; {len(store.finished)} in {store.folder}, "
        f"{len(rows)} rows in {store.folder / TABLE_FILE}."
    )
    return int(bool(tally.given_up or any(found.differing for found in checks.values())))
