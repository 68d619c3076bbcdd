"""Where a driver may block: connecting and recovering, on a thread of their own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue

Done = Callable[[Exception | None], None]
"""Told of the end of a call, on the thread of the calls: None, or what it raised."""


class DriverCalls:
    """One call at a time; a call that never returns is left behind, and no other one is begun."""

    def __init__(self) -> None:
        self._work: SimpleQueue[tuple[Callable[[], None], Done] | None] = SimpleQueue()
        self._busy = threading.Event()
        self._thread = threading.Thread(target=self._run, name="robot-driver-calls", daemon=True)

    @property
    def busy(self) -> bool:
        """Tell whether a call has been begun and has not ended."""
        return self._busy.is_set()

    def start(self) -> None:
        """Begin to wait for work."""
        self._thread.start()

    def begin(self, call: Callable[[], None], done: Done) -> None:
        """Make a call; nobody waits for it here."""
        self._busy.set()
        self._work.put((call, done))

    def close(self, timeout: float) -> bool:
        """End within `timeout` s; return whether the last call ended."""
        self._work.put(None)
        if self._thread.is_alive():
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            call, done = work
            problem: Exception | None = None
            try:
                call()
            except Exception as error:  # a library's own, too: its text is the answer
                problem = error
            self._busy.clear()
            done(problem)
