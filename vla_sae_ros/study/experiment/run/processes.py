"""Workers as processes of this machine."""

from __future__ import annotations

from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path

from vla_sae_ros.study.batches.children import Children
from vla_sae_ros.study.batches.jobs import Done, Failed
from vla_sae_ros.study.batches.served import serve
from vla_sae_ros.study.experiment.design.plan import PlannedRun
from vla_sae_ros.study.experiment.records.outcome import Result
from vla_sae_ros.study.experiment.run.hooks import OwnSetup
from vla_sae_ros.study.experiment.run.setup import SetupSpec
from vla_sae_ros.study.experiment.run.worker import Worker


class Processes:
    """`worker_pool.WorkerPool` as processes, started when they are first given something."""

    def __init__(self, count: int, spec: SetupSpec, folder: Path) -> None:
        self.count = count
        self._children = Children(_serve, spec, folder)
        self._busy: set[int] = set()

    def give(self, worker: int, run: PlannedRun) -> None:
        """Let an idle worker make a run."""
        self._busy.add(worker)
        self._children.send(worker, run)

    def wait(self) -> list[tuple[int, Result | str]]:
        """Wait until a worker is done; see `worker_pool.WorkerPool.wait`."""
        return [(number, self._ended(number, said)) for number, said in self._heard()]

    def close(self) -> None:
        """Stop every worker, whatever it is at."""
        self._children.close()

    def _heard(self) -> list[tuple[int, Done | Failed]]:
        return self._children.wait(sorted(self._busy))

    def _ended(self, number: int, said: Done | Failed) -> Result | str:
        self._busy.discard(number)
        if isinstance(said, Done):
            result: Result = said.result
            return result
        if not said.usable:
            self._children.dismiss(number)
        return said.reason


def _serve(pipe: Connection, spec: SetupSpec, folder: Path) -> None:
    """Make runs until nobody asks any longer."""
    serve(pipe, partial(_worker, spec, folder), _made, lambda worker: worker.close())


def _worker(spec: SetupSpec, folder: Path) -> Worker:
    return Worker(OwnSetup(spec.open()), folder)


def _made(worker: Worker, run: PlannedRun) -> Result:
    return worker.run(run.settings, run.task, run.filmed)
