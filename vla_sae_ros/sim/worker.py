"""One thread that owns a simulator, so that a call can be given a time limit.

OpenGL contexts belong to the thread that made them, and a reset can fail to come back: running
every call on one thread of its own settles both.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import TypeVar

from vla_sae_ros.core.errors import SimulationError

T = TypeVar("T")

PARTS = 10
"""A limit is waited for in so many parts: while the whole process is suspended, as a laptop's or a
paused study's, the clock runs on, and only the part in which that happened may be lost."""


class SimulationThread:
    """Runs callables one after another on one daemon thread, each with a time limit."""

    def __init__(self, name: str = "simulation") -> None:
        self._calls: queue.SimpleQueue[tuple[Future, Callable] | None] = queue.SimpleQueue()
        self._stuck_in: str | None = None
        self._closed = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def call(self, what: str, function: Callable[[], T], limit_s: float) -> T:
        """Run the function on the simulation thread and return its result.

        Raises SimulationError when it takes longer than limit_s seconds; the thread cannot be
        trusted after that, and every later call is refused with the same reason.
        """
        if self._closed:
            raise SimulationError(f"Cannot {what}: the simulation is closed. Make a new one.")
        if self._stuck_in is not None:
            raise SimulationError(
                f"Cannot {what}: the simulator is still stuck in an earlier call to "
                f"{self._stuck_in}. Restart the process that runs the simulation."
            )
        future: Future[T] = Future()
        self._calls.put((future, function))
        for _ in range(PARTS):
            if wait([future], limit_s / PARTS).done:
                return future.result()
        self._stuck_in = what
        raise SimulationError(
            f"The simulator did not {what} within {limit_s:g} s (it may be looping or the "
            "machine is overloaded). Restart the process that runs the simulation."
        )

    def close(self) -> None:
        """Stop the thread after the call in progress; later calls are refused."""
        if not self._closed:
            self._closed = True
            self._calls.put(None)

    def _run(self) -> None:
        while (item := self._calls.get()) is not None:
            future, function = item
            try:
                future.set_result(function())
            except BaseException as error:  # handed to the caller, who waits for it
                future.set_exception(error)
