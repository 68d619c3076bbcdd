"""The parent's side: numbered processes, started when they are first given something."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.study.batches.jobs import Failed
from vla_sae_ros.study.batches.served import Unfit

_SPAWN = multiprocessing.get_context("spawn")  # OpenGL and torch do not survive a fork
CLOSING_S = 5.0


@dataclass(frozen=True)
class _Child:
    process: BaseProcess
    pipe: Connection


class Children:
    """Processes that each run `target(pipe, *given)`; see `served.serve`."""

    def __init__(self, target: Callable[..., None], *given: Any) -> None:
        self._target, self._given = target, given
        self._children: dict[int, _Child] = {}

    def send(self, number: int, thing: Any) -> None:
        """Give something to a child."""
        if number not in self._children:
            self._children[number] = self._start()
        with suppress(BrokenPipeError):  # dead already: that is noticed at its end of the pipe
            self._children[number].pipe.send(thing)

    def pipe(self, number: int) -> Connection:
        """Return the pipe of a child that was given something."""
        return self._children[number].pipe

    def wait(self, among: Collection[int]) -> list[tuple[int, Any]]:
        """Wait until one of them says something; return what was said, with its number.

        A child that has ended is said to have failed.

        Raises:
            ConfigurationError: a child could not even begin.
        """
        ready = wait([self.pipe(number) for number in among])
        return [(number, self._heard(number)) for number in among if self.pipe(number) in ready]

    def dismiss(self, number: int) -> None:
        """End a child, whatever it is at; the next one of its number is a new one."""
        child = self._children.pop(number)
        child.pipe.close()
        child.process.terminate()
        child.process.join(CLOSING_S)
        if child.process.is_alive():
            child.process.kill()
            child.process.join()

    def close(self) -> None:
        """End every child, whatever it is at."""
        for number in list(self._children):
            self.dismiss(number)

    def _start(self) -> _Child:
        ours, theirs = _SPAWN.Pipe()
        process = _SPAWN.Process(target=self._target, args=(theirs, *self._given), daemon=True)
        process.start()
        theirs.close()  # so that the pipe ends with the process
        return _Child(process, ours)

    def _heard(self, number: int) -> Any:
        child = self._children[number]
        try:
            said = child.pipe.recv()
        except (EOFError, OSError):
            child.process.join(CLOSING_S)
            return Failed(f"its process ended with status {child.process.exitcode}", usable=False)
        if isinstance(said, Unfit):
            raise ConfigurationError(said.reason)
        return said
