"""Episodes side by side: simulators in processes of their own, one policy that infers for all."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Self

import torch

from vla_sae_ros.core.errors import ConfigurationError, SimulationError, complaint
from vla_sae_ros.policy.batch_engine import BatchEngine, Row
from vla_sae_ros.sim.environment import Environment
from vla_sae_ros.study.rollouts.sim_worker import Broken, ChunkWanted, Played, libero, serve
from vla_sae_ros.study.rollouts.trials import Trial

_SPAWN = multiprocessing.get_context("spawn")  # OpenGL and torch do not survive a fork
FILL_S = 0.005
"""Seconds that a batch waits for rows of simulators that are not waiting yet."""
CLOSING_S = 5.0
MOST = 256


def batch_size(text: str) -> int:
    """Return how many environments one policy infers for: "auto" is one for every core.

    Raises:
        ConfigurationError: neither "auto" nor a number in the range.
    """
    if text == "auto":
        return len(os.sched_getaffinity(0))
    if not text.isdecimal() or not 1 <= int(text) <= MOST:
        raise ConfigurationError(complaint("--policy-batch", text, f"auto or 1 to {MOST}"))
    return int(text)


@dataclass
class _Simulator:
    process: BaseProcess
    pipe: Connection
    trial: Trial | None = None
    generator: torch.Generator | None = None


class BatchedRollouts:
    """So many simulators, and the engine that answers them; used as a context.

    Args:
        engine: the caller closes it.
        count: simulators, and the largest batch.
        execute_steps: control steps of a chunk that are executed before the next one is asked for.
        make: makes an environment, in the simulator's process.
    """

    def __init__(
        self,
        engine: BatchEngine,
        count: int,
        execute_steps: int,
        make: Callable[[], Environment] = libero,
    ) -> None:
        self._engine = engine
        self._simulators = [_start(make, execute_steps) for _ in range(count)]
        self.batches: list[int] = []
        """Rows of every inference."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for simulator in self._simulators:
            simulator.pipe.close()
            simulator.process.terminate()
        for simulator in self._simulators:
            simulator.process.join(CLOSING_S)
            if simulator.process.is_alive():
                simulator.process.kill()

    def play(self, trials: Sequence[Trial]) -> Iterator[tuple[Trial, Played]]:
        """Play the trials, begun in their order; yield each as it ends.

        Raises:
            SimulationError: a simulator failed or died; it names the episode.
        """
        left = deque(trials)
        for simulator in self._simulators:
            _begin(simulator, left)
        waiting: dict[int, ChunkWanted] = {}
        while any(simulator.trial for simulator in self._simulators):
            for number, said in self._news(waiting):
                simulator = self._simulators[number]
                if isinstance(said, ChunkWanted):
                    waiting[number] = said
                    continue
                trial = simulator.trial
                assert trial is not None  # only who plays says anything
                if isinstance(said, Broken):
                    raise SimulationError(f"{_name(trial)} could not be played: {said.reason}")
                yield trial, said
                _begin(simulator, left)
            if waiting:
                self._answer(waiting)
                waiting = {}

    def _news(
        self, waiting: dict[int, ChunkWanted]
    ) -> Iterator[tuple[int, ChunkWanted | Played | Broken]]:
        """Yield what simulators say, until all that play wait, or a few ms after the first does."""
        by_pipe = {one.pipe: number for number, one in enumerate(self._simulators) if one.trial}
        until = float("inf")
        while len(waiting) < len(by_pipe):
            quiet = [pipe for pipe, number in by_pipe.items() if number not in waiting]
            left = None if until == float("inf") else max(0.0, until - time.monotonic())
            ready = wait(quiet, left)
            if not ready:
                return
            for pipe in ready:
                assert isinstance(pipe, Connection)
                said = _received(self._simulators[by_pipe[pipe]])
                yield by_pipe[pipe], said
                if not isinstance(said, ChunkWanted):
                    return  # it plays another trial now, or none
            until = min(until, time.monotonic() + FILL_S)

    def _answer(self, waiting: dict[int, ChunkWanted]) -> None:
        rows = [self._row(self._simulators[number], asked) for number, asked in waiting.items()]
        self.batches.append(len(rows))
        for number, inference in zip(waiting, self._engine.infer(rows), strict=True):
            self._simulators[number].pipe.send(inference.actions)

    def _row(self, simulator: _Simulator, asked: ChunkWanted) -> Row:
        trial = simulator.trial
        assert trial is not None
        if asked.first:
            simulator.generator = torch.Generator().manual_seed(trial.seed)
        shape = (1, *self._engine.adapter.noise_shape)
        noise = torch.randn(shape, generator=simulator.generator)
        return Row(asked.frame, asked.instruction, noise)


def _start(make: Callable[[], Environment], execute_steps: int) -> _Simulator:
    ours, theirs = _SPAWN.Pipe()
    process = _SPAWN.Process(target=serve, args=(theirs, make, execute_steps), daemon=True)
    process.start()
    theirs.close()  # so that the pipe ends with the process
    return _Simulator(process, ours)


def _begin(simulator: _Simulator, left: deque[Trial]) -> None:
    simulator.trial = left.popleft() if left else None
    if simulator.trial is not None:
        simulator.pipe.send(simulator.trial)


def _received(simulator: _Simulator) -> ChunkWanted | Played | Broken:
    try:
        said: ChunkWanted | Played | Broken = simulator.pipe.recv()
    except (EOFError, OSError):
        simulator.process.join(CLOSING_S)
        return Broken(f"its process ended with status {simulator.process.exitcode}")
    return said


def _name(trial: Trial) -> str:
    return (
        f"{trial.task.suite} task {trial.task.task_index}, init state {trial.init_state}, seed "
        f"{trial.seed}"
    )
