"""What a control thread asks of the operating system."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

PRIORITY = 60
"""SCHED_FIFO priority of the control thread."""
LIBRARY_PRIORITY = 80
"""Of a robot library's own 1 kHz thread, which must not wait for the control thread."""


def become_realtime() -> str:
    """Make the calling thread SCHED_FIFO; return "", or what was not allowed of it and `raised`."""
    try:
        for priority in (PRIORITY, LIBRARY_PRIORITY, PRIORITY):  # the middle one on trial
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(priority))
    except OSError as error:
        return (
            f"no real-time priority of {priority} ({error.strerror}); allow it in "
            "/etc/security/limits.d with `@realtime - rtprio 99`"
        )
    return ""


def leave_realtime() -> None:
    """Make the calling thread an ordinary one; threads inherit FIFO from those that start them."""
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


@contextmanager
def raised(priority: int = LIBRARY_PRIORITY) -> Iterator[None]:
    """Run a block at a higher FIFO priority, which a thread that is started in it inherits.

    Without permission for it, which `become_realtime` tells of, the block runs as it is.
    """
    before = os.sched_getscheduler(0), os.sched_getparam(0)
    if before[0] != os.SCHED_FIFO or not _allowed(priority):
        yield
        return
    try:
        yield
    finally:
        os.sched_setscheduler(0, *before)


def _allowed(priority: int) -> bool:
    """Take a FIFO priority; return whether that was allowed: `rtprio` may end below it."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(priority))
    except PermissionError:
        return False
    return True
