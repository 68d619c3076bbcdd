"""What a supervised process runs: `python -m ... <parent process> <module> [argument...]`.

It ties its life to the supervisor's before the module starts: the kernel kills it when the parent
is gone, however the parent ended, so that nothing moves a robot that nobody watches.
"""

from __future__ import annotations

import ctypes
import os
import runpy
import signal
import sys

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def tie_to_parent(parent: int) -> None:
    """Let the kernel kill this process when its parent ends; exit at once if that has happened."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"prctl(PR_SET_PDEATHSIG): {os.strerror(number)}")
    if os.getppid() != parent:
        sys.exit(f"the supervisor (process {parent}) ended before this process started.")


def main() -> None:
    """Tie this process to its parent and become the module."""
    parent, module, *arguments = sys.argv[1:]
    tie_to_parent(int(parent))
    # A stop while the module still imports ends the process without a traceback. A node that has
    # something to finish sets its own handler.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
