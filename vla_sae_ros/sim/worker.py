"""One thread that owns a simulator, so that a call can be given a time limit.

OpenGL contexts belong to the thread that made them, and a reset can fail to come back: running
every call on one thread of its own settles both.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import TypeVar

from vla_sae_ros.core.errors import SimulationError

T = TypeVar("T")

PARTS = 10
"""A limit is waited for in so many parts: while the whole process is suspended, as a laptop's or a
paused study's, the clock runs on, and only the part in which that happened may be lost."""


RESET_LIMIT_S, STEP_LIMIT_S = 900.0, 120.0
"""[s] Where nobody waits, as in a rollout or a study: they end what hangs, and a machine with much
else to do is not late. The bridge has its own, which are parameters."""


class SimulatorLate(SimulationError):
    """A call did not end within its limit; what it has done by now, nobody knows."""


class SimulationThread:
    """Runs callables one after another on one daemon thread, each with a time limit."""

    def __init__(self, name: str = "simulation") -> None:
        self._calls: queue.SimpleQueue[tuple[Future, Callable, str] | None] = queue.SimpleQueue()
        self._running: tuple[str, float] | None = None
        self._closed = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def call(self, what: str, function: Callable[[], T], limit_s: float) -> T:
        """Run the function on the simulation thread and return its result.

        Raises SimulatorLate when that takes longer than limit_s seconds. A call that has begun by
        then goes on to its end, and the next one waits for it within a limit of its own; one that
        has not begun is left out.
        """
        if self._closed:
            raise SimulationError(f"Cannot {what}: the simulation is closed. Make a new one.")
        future: Future[T] = Future()
        self._calls.put((future, function, what))
        for _ in range(PARTS):
            if wait([future], limit_s / PARTS).done:
                return future.result()
        running = self._running
        if future.cancel() and running is not None:
            name, since = running
            raise SimulatorLate(
                f"Cannot {what}: the simulator is still busy with an earlier call to {name}, begun "
                f"{time.monotonic() - since:.0f} s ago. Try again once that has ended; if it never "
                "does, restart the process that runs the simulation."
            )
        raise SimulatorLate(
            f"The simulator did not {what} within {limit_s:g} s: it may be looping, or the machine "
            "is overloaded. Another reset would wait until it has come back."
        )

    def close(self) -> None:
        """Stop the thread after the call in progress; later calls are refused."""
        if not self._closed:
            self._closed = True
            self._calls.put(None)

    def _run(self) -> None:
        while (item := self._calls.get()) is not None:
            future, function, what = item
            if not future.set_running_or_notify_cancel():
                continue  # its caller has gone
            self._running = what, time.monotonic()
            try:
                future.set_result(function())
            except BaseException as error:  # handed to the caller, who waits for it
                future.set_exception(error)
            finally:
                self._running = None
