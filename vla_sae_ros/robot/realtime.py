"""What a control thread asks of the operating system and of Python."""

from __future__ import annotations

import gc
import os
import sys

PRIORITY = 60
"""SCHED_FIFO priority; libfranka takes the highest for itself."""
SWITCH_INTERVAL = 0.0005
"""[s] after which another Python thread has to let this one run; Python's default is ten times as
long, and a tick would wait that long for every busy thread."""


def become_realtime() -> str:
    """Make the calling thread SCHED_FIFO; return "", or why that was not allowed."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(PRIORITY))
    except OSError as error:
        return (f"no real-time priority ({error.strerror}); allow it in "
                "/etc/security/limits.d with `@realtime - rtprio 99`")  # fmt: skip
    return ""


def calm_python() -> None:
    """Keep the collector away from what exists already, and thread switches short."""
    gc.collect()
    gc.freeze()
    sys.setswitchinterval(SWITCH_INTERVAL)
