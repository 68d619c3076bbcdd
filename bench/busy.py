"""Keep this machine busy: what `make test` must bear.

    python bench/busy.py 6                 # until Ctrl-C
    python bench/busy.py 6 make test       # while a command runs; its exit status is the answer

Each of the processes computes without a pause, as the tests do that run beside them.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
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
    busy = [multiprocessing.Process(target=compute, daemon=True) for _ in range(args.processes)]
    for process in busy:
        process.start()
    begin = time.monotonic()
    try:
        status = subprocess.run(args.command, check=False).returncode if args.command else wait()
    finally:
        for process in busy:
            process.kill()
    print(f"{time.monotonic() - begin:.0f} s beside {args.processes} busy processes: {status}")
    return status


def wait() -> int:
    """Wait for Ctrl-C."""
    with contextlib.suppress(KeyboardInterrupt):
        signal.pause()
    return 0


if __name__ == "__main__":
    sys.exit(main())
