"""The end of a process of this package's own, which native code must not hold up for ever."""

from __future__ import annotations

import faulthandler
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

LIMIT = 10.0
"""[s] after which `limited_end` ends the process: a busy machine's ordinary end takes less. What a
supervisor runs is killed by it earlier."""
_TELL = 0.5  # [s] before, for the stacks
_STDERR = 2
_is_own = False


@contextmanager
def own_process() -> Iterator[None]:
    """Let `limited_end` end the process, within this block.

    For a program's `main` only: what is used as a library must not end somebody else's process.
    """
    global _is_own
    before, _is_own = _is_own, True
    try:
        yield
    finally:
        _is_own = before


@contextmanager
def limited_end() -> Iterator[None]:
    """In an `own_process`, end the process by SIGALRM if the block takes longer than LIMIT.

    The stacks of all threads are written to stderr before. Nothing else is brought to its end:
    everything that has to be closed must be closed before the block. This works while native code
    keeps the GIL, when no Python code runs: no other thread's and no signal handler's.
    """
    if not _is_own:
        yield
        return
    with suppress(OSError):  # the next flush raises it again
        sys.stdout.flush()
    faulthandler.dump_traceback_later(LIMIT - _TELL, file=_STDERR)
    before = signal.setitimer(signal.ITIMER_REAL, LIMIT)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, *before)
        faulthandler.cancel_dump_traceback_later()
