"""Keep this machine busy: what `make test` must bear.

    python bench/busy.py 6                 # until Ctrl-C
    python bench/busy.py 6 make test       # while a command runs; its exit status is the answer

Each of the processes computes without a pause. They are in a session of their own, as what another
terminal runs is: a Linux with autogroups gives them half of the machine and the command the other
half; one without gives every process the same share.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import os
import signal
import subprocess
import sys
import time


def compute() -> None:
    """Multiply numbers until the process is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    number = 1
    while True:
        number = number * 6364136223846793005 % 2**64 + 1


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("processes", type=int, help="how many busy processes")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="what to run beside them")
    args = parser.parse_args()
    if not args.command:
        return stay_busy(args.processes)
    # The session leader waits; the others compute.
    load = subprocess.Popen([sys.executable, __file__, str(args.processes)], start_new_session=True)
    begin = time.monotonic()
    try:
        status = subprocess.run(args.command, check=False).returncode
    finally:
        os.killpg(load.pid, signal.SIGKILL)
        load.wait()
    print(f"{time.monotonic() - begin:.0f} s beside {args.processes} busy processes: {status}")
    return status


def stay_busy(processes: int) -> int:
    """Compute in so many processes until Ctrl-C."""
    busy = [multiprocessing.Process(target=compute, daemon=True) for _ in range(processes)]
    for process in busy:
        process.start()
    with contextlib.suppress(KeyboardInterrupt):
        signal.pause()
    for process in busy:
        process.kill()
    return 0


if __name__ == "__main__":
    sys.exit(main())
