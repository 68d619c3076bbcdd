"""A gripper whose commands block, on a thread of its own: the latest request wins."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable
from typing import Protocol

from vla_sae_ros.robot.loop.realtime import leave_realtime

_log = logging.getLogger(__name__)

SAME = 0.02
"""Requests closer to the last one than this share of the stroke are no new request."""
RETRY = 1.0
"""[s] between two looks for a gripper that is not there: it may be switched on after us; and
before a request that has failed is carried out again, when it is asked for again."""
LOOK = 0.1
"""[s] between two looks at the opening while it moves."""
STUCK = 3.0
"""[s] without a change of the opening after which a move that blocks is broken off."""
_PROGRESS = 0.005
"""Of the stroke."""


class BlockingGripper(Protocol):
    """What a maker's library offers; every method may block for seconds and may raise.

    `opening` and, where there is one, `stop` may be called while a `move` blocks.
    """

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
    """Carries out the newest request, and knows the opening, also while the gripper moves.

    Args:
        retry: [s] between two looks for a gripper that does not say its opening, and between two
            attempts at a request that has failed.
        clock: monotonic [s].
    """

    def __init__(
        self,
        gripper: BlockingGripper,
        retry: float = RETRY,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._gripper, self._retry, self._clock = gripper, retry, clock
        self._wanted = threading.Condition()
        self._request: float | None = None
        self._last = float("nan")
        self._again_at: float | None = None
        self._moving = self._stopping = False
        self._closing = False
        self._opening = float("nan")
        self._progress = 0.0, float("nan")  # when the opening changed last in a move, and to what
        self.replaced = 0
        """Requests that a later one overtook."""
        self.failed = 0
        """Requests that the gripper refused or lost."""
        self.last_error = ""
        self._threads = [
            threading.Thread(target=run, name=name, daemon=True)
            for run, name in ((self._run, "robot-gripper"), (self._watch, "robot-gripper-look"))
        ]
        for thread in self._threads:
            thread.start()

    @property
    def opening(self) -> float:
        """Return the newest opening, 0 = closed, 1 = open; NaN while unknown."""
        return self._opening

    def request(self, closing: float) -> None:
        """Ask for 0 = open ... 1 = closed; never blocks.

        Asking for the same again asks again only where it has failed.
        """
        with self._wanted:
            failed = self._again_at is not None and self._clock() >= self._again_at
            if abs(closing - self._last) < SAME and not failed:
                return
            self.replaced += self._request is not None
            self._request = self._last = closing
            self._again_at = None
            self._wanted.notify_all()

    def stop(self) -> None:
        """Forget what waits and break off a move; a gripper that stands holds what it holds."""
        with self._wanted:
            self._request, self._last, self._again_at = None, float("nan"), None
            self._stopping = self._moving
            self._wanted.notify_all()

    def close(self, timeout: float = 2.0) -> None:
        """End the threads; a move that blocks longer is left behind and said."""
        with self._wanted:
            self._closing = True
            self._wanted.notify_all()
        for thread in self._threads:
            thread.join(timeout)
        if any(thread.is_alive() for thread in self._threads):
            _log.warning("the gripper is still moving; its thread is abandoned")

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
            self._moving = False
            self._wanted.wait_for(lambda: self._closing or self._request is not None, limit)
            request, self._request = self._request, None
            if self._closing or request is None:
                return None
            self._moving = True
            self._progress = self._clock(), self._opening
            self._wanted.notify_all()
            return request

    def _watch(self) -> None:
        """Look at a gripper that moves, and stop it: its own thread is in the move."""
        leave_realtime()
        while True:
            with self._wanted:
                self._wanted.wait_for(lambda: self._closing or self._moving)
                if self._closing:
                    return
                self._wanted.wait_for(lambda: self._stopping or not self._moving, LOOK)
                stopping, self._stopping = self._stopping, False
                moving = self._moving
            if stopping:
                self._break_off()
            if moving:
                self._look()
                self._note_progress()

    def _note_progress(self) -> None:
        """Break off a move that gets nowhere; it is tried again when it is asked for again."""
        since, opening = self._progress
        if math.isnan(opening) or not abs(self._opening - opening) <= _PROGRESS:
            self._progress = self._clock(), self._opening
            return
        if self._clock() - since <= STUCK:
            return
        with self._wanted:
            if not self._moving:
                return
            self._progress = self._clock(), self._opening
            self._again_at = self._clock() + self._retry
        self._note("gets nowhere", TimeoutError(f"no motion for {STUCK:g} s"))
        self._break_off()

    def _break_off(self) -> None:
        stop = getattr(self._gripper, "stop", None)
        if stop is None:
            return
        try:
            stop()
        except Exception as error:  # a library's own
            self._note("did not stop", error)

    def _move(self, closing: float) -> None:
        try:
            self._gripper.move(closing)
        except Exception as error:  # a library's own; the arm must not end with it
            with self._wanted:
                if self._last == closing:
                    self._again_at = self._clock() + self._retry
            self._note("did not move", error)

    def _look(self) -> None:
        try:
            self._opening = self._gripper.opening()
        except Exception as error:  # as above
            self._opening = float("nan")
            self._note("does not report its opening", error)

    def _note(self, what: str, error: Exception) -> None:
        self.failed += 1
        if repr(error) != self.last_error:  # looking again and again must not fill the log
            _log.warning("the gripper %s: %r", what, error)
        self.last_error = repr(error)
