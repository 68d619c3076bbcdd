"""Workers as processes of this machine."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path

from vla_sae_ros.core.errors import ConfigurationError, SimulationError, VlaSaeError
from vla_sae_ros.study.experiment.design.plan import PlannedRun
from vla_sae_ros.study.experiment.records.outcome import Result
from vla_sae_ros.study.experiment.run.hooks import OwnSetup
from vla_sae_ros.study.experiment.run.setup import SetupSpec
from vla_sae_ros.study.experiment.run.worker import Worker

_SPAWN = multiprocessing.get_context("spawn")  # OpenGL and torch do not survive a fork
_CLOSING = 5.0  # [s]


@dataclass(frozen=True)
class _Unfit:
    """What a worker says that cannot even open its setup."""

    reason: str


@dataclass(frozen=True)
class _Failed:
    """What a worker says of a run that failed. usable: the worker can go on with others."""

    reason: str
    usable: bool


@dataclass
class _Worker:
    process: multiprocessing.process.BaseProcess
    pipe: Connection


class Processes:
    """`worker_pool.WorkerPool` as processes, started when they are first given something."""

    def __init__(self, count: int, spec: SetupSpec, folder: Path) -> None:
        self.count = count
        self._spec, self._folder = spec, folder
        self._workers: dict[int, _Worker] = {}

    def give(self, worker: int, run: PlannedRun) -> None:
        """Let an idle worker make a run."""
        if worker not in self._workers:
            self._workers[worker] = self._start()
        self._workers[worker].pipe.send(run)

    def wait(self) -> list[tuple[int, Result | str]]:
        """Wait until a worker is done; see `worker_pool.WorkerPool.wait`."""
        ready = wait([worker.pipe for worker in self._workers.values()])
        found: list[tuple[int, Result | str]] = []
        for number in [number for number, worker in self._workers.items() if worker.pipe in ready]:
            try:
                said = self._workers[number].pipe.recv()
            except (EOFError, OSError):
                said = _Failed(self._buried(number), usable=False)
            if isinstance(said, _Unfit):
                raise ConfigurationError(said.reason)
            if isinstance(said, _Failed) and not said.usable:
                self._dismiss(number)
            found.append((number, said if isinstance(said, Result) else said.reason))
        return found

    def close(self) -> None:
        """Stop every worker, whatever it is at."""
        for number in list(self._workers):
            self._dismiss(number)

    def _start(self) -> _Worker:
        ours, theirs = _SPAWN.Pipe()
        process = _SPAWN.Process(
            target=_serve, args=(theirs, self._spec, self._folder), daemon=True
        )
        process.start()
        theirs.close()  # so that the pipe ends with the worker
        return _Worker(process, ours)

    def _buried(self, number: int) -> str:
        process = self._workers[number].process
        process.join(_CLOSING)
        return f"its worker ended with status {process.exitcode}"

    def _dismiss(self, number: int) -> None:
        worker = self._workers.pop(number)
        worker.pipe.close()
        worker.process.terminate()
        worker.process.join(_CLOSING)
        if worker.process.is_alive():
            worker.process.kill()
            worker.process.join()


def _serve(pipe: Connection, spec: SetupSpec, folder: Path) -> None:
    """Make runs until nobody asks any longer."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's affair
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        worker = Worker(OwnSetup(spec.open()), folder)
    except VlaSaeError as error:
        pipe.send(_Unfit(str(error)))
        return
    try:
        while True:
            try:
                run = pipe.recv()
            except EOFError:
                return
            said = _made(worker, run)
            pipe.send(said)
            if isinstance(said, _Failed) and not said.usable:
                return
    finally:
        worker.close()


def _made(worker: Worker, run: PlannedRun) -> Result | _Failed:
    try:
        return worker.run(run.settings, run.task, run.filmed)
    except Exception as error:  # said to the parent, who counts it
        # After a refusal everything is as before; after anything else nobody knows.
        usable = isinstance(error, VlaSaeError) and not isinstance(error, SimulationError)
        return _Failed(f"{type(error).__name__}: {error}", usable)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None  # we were started by one
    parent.join()
    os._exit(1)
