"""Programs that hang in native code, with the GIL, where a context's DDS participant ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from patience import PATIENCE

HANG_AT_THE_END = """
import ctypes
from rclpy.context import Context
from vla_sae_ros import own_process

def hang(_context):
    libc = ctypes.PyDLL(None)  # which keeps the GIL
    lock = (ctypes.c_char * 64)()
    libc.pthread_mutex_lock(lock)
    print("hangs", flush=True)
    libc.pthread_mutex_lock(lock)  # for ever

Context.try_shutdown = hang
own_process.LIMIT = 1.0
"""


def ended_while_it_hung(program: str, *arguments: str) -> str:
    """Run a program until it has ended itself; return what it printed."""
    done = subprocess.run(
        [sys.executable, "-c", f"{HANG_AT_THE_END}\n{program}", *arguments],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    told = done.stdout + done.stderr
    assert done.returncode == -signal.SIGALRM, told
    assert "Timeout" in done.stderr and "in leave_graph" in done.stderr, told
    return told


def participant_threads() -> set[str]:
    """Return the numbers of the threads that DDS participants have in this process.

    A thread that was joined can be listed for a moment longer: wait for its end with `eventually`.
    """
    found = set()
    for task in Path(f"/proc/{os.getpid()}/task").iterdir():
        try:
            name = (task / "comm").read_text().strip()
        except (FileNotFoundError, ProcessLookupError):  # it has ended since it was listed
            continue
        if name.startswith("dds.") and name != "dds.shm.wdog":  # which is the process's own
            found.add(task.name)
    return found
