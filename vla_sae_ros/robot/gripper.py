"""A gripper whose commands block, on a thread of its own: the latest request wins."""

from __future__ import annotations

import logging
import threading
from typing import Protocol

from vla_sae_ros.robot.realtime import leave_realtime

_log = logging.getLogger(__name__)

SAME = 0.02
"""Requests closer to the last one than this share of the stroke are no new request."""


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
    """Carries out the newest request, and knows the last opening."""

    def __init__(self, gripper: BlockingGripper) -> None:
        self._gripper = gripper
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
        """Return the opening after the last move, 0 = closed, 1 = open; NaN before the first."""
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
        while (closing := self._next()) is not None:
            try:
                self._gripper.move(closing)
            except Exception as error:  # a library's own; the arm must not end with it
                self.failed += 1
                self.last_error = repr(error)
                _log.warning("the gripper did not move: %r", error)
            self._look()
        self._gripper.close()

    def _next(self) -> float | None:
        with self._wanted:
            self._wanted.wait_for(lambda: self._closing or self._request is not None)
            request, self._request = self._request, None
            return None if self._closing else request

    def _look(self) -> None:
        try:
            self._opening = self._gripper.opening()
        except Exception as error:  # as above
            self.failed += 1
            self.last_error = repr(error)
