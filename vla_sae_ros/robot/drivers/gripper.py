"""A gripper whose commands block, on a thread of its own: the latest request wins."""

from __future__ import annotations

import logging
import math
import threading
from typing import Protocol

from vla_sae_ros.robot.loop.realtime import leave_realtime

_log = logging.getLogger(__name__)

SAME = 0.02
"""Requests closer to the last one than this share of the stroke are no new request."""
RETRY = 1.0
"""[s] between two looks for a gripper that is not there: it may be switched on after us."""


class BlockingGripper(Protocol):
    """What a maker's library offers; every method may block for seconds and may raise."""

    def move(self, closing: float) -> None:
        """Go to 0 = open ... 1 = closed."""
        ...

    def opening(self) -> float:
        """Return 0 = closed ... 1 = open."""
        ...

    def close(self) -> None:
        """Disconnect; raises nothing."""
        ...


class GripperThread:
    """Carries out the newest request, and knows the last opening.

    Args:
        retry: [s] between two looks for a gripper that does not say its opening.
    """

    def __init__(self, gripper: BlockingGripper, retry: float = RETRY) -> None:
        self._gripper, self._retry = gripper, retry
        self._wanted = threading.Condition()
        self._request: float | None = None
        self._last = float("nan")
        self._closing = False
        self._opening = float("nan")
        self.replaced = 0
        """Requests that a later one overtook."""
        self.failed = 0
        """Requests that the gripper refused or lost."""
        self.last_error = ""
        self._thread = threading.Thread(target=self._run, name="robot-gripper", daemon=True)
        self._thread.start()

    @property
    def opening(self) -> float:
        """Return the opening after the last move, 0 = closed, 1 = open; NaN while unknown."""
        return self._opening

    def request(self, closing: float) -> None:
        """Ask for 0 = open ... 1 = closed; never blocks."""
        with self._wanted:
            if abs(closing - self._last) < SAME:
                return
            self.replaced += self._request is not None
            self._request = self._last = closing
            self._wanted.notify()

    def stop(self) -> None:
        """Forget what is waiting; the move under way ends by itself, as it holds what it holds."""
        with self._wanted:
            self._request, self._last = None, float("nan")

    def close(self, timeout: float = 2.0) -> None:
        """End the thread; a move that blocks longer is left behind and said."""
        with self._wanted:
            self._closing = True
            self._wanted.notify()
        self._thread.join(timeout)
        if self._thread.is_alive():
            _log.warning("the gripper still moves; its thread is left behind")

    def _run(self) -> None:
        leave_realtime()
        self._look()
        while True:
            closing = self._next()
            if closing is not None:
                self._move(closing)
            elif self._closing:
                break
            self._look()
        self._gripper.close()

    def _next(self) -> float | None:
        """Wait for a request; None: it is time for another look, or for the end."""
        limit = self._retry if math.isnan(self._opening) else None
        with self._wanted:
            self._wanted.wait_for(lambda: self._closing or self._request is not None, limit)
            request, self._request = self._request, None
            return None if self._closing else request

    def _move(self, closing: float) -> None:
        try:
            self._gripper.move(closing)
        except Exception as error:  # a library's own; the arm must not end with it
            self._note("did not move", error)

    def _look(self) -> None:
        try:
            self._opening = self._gripper.opening()
        except Exception as error:  # as above
            self._opening = float("nan")
            self._note("does not say its opening", error)

    def _note(self, what: str, error: Exception) -> None:
        self.failed += 1
        if repr(error) != self.last_error:  # looking again and again must not fill the log
            _log.warning("the gripper %s: %r", what, error)
        self.last_error = repr(error)
