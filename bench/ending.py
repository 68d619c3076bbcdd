"""How long a system takes to end after Ctrl-C, on a machine where nothing else runs.

    python bench/ending.py

Promised are 2 s for the simulation's bridge, and 5 s for a whole system, whatever its nodes do.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import tempfile
import time

BRIDGE = ("-m", "vla_sae_ros.nodes.sim.sim_bridge_node")
SYSTEM = ("-m", "vla_sae_ros.cli", "up", "sim", "--no-autorun")
DEAF = """
import sys
from pathlib import Path
from vla_sae_ros.supervision.supervisor import Supervisor
from vla_sae_ros.systems.simulation import NodeSpec, System

Path("deaf.py").write_text(
    "import signal, time\\n"
    "for number in (signal.SIGINT, signal.SIGTERM): signal.signal(number, signal.SIG_IGN)\\n"
    "print('deaf', flush=True)\\n"
    "time.sleep(600)\\n"
)
nodes = tuple(NodeSpec(name, name, "deaf", ready="deaf") for name in ("one", "two"))
sys.exit(Supervisor(System("deaf", nodes), Path("log")).run())
"""


def ending(words: str, *arguments: str) -> float:
    """Start a program, interrupt it once it says these words; return the seconds until its end."""
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert process.stdout is not None
        heard = any(words in line for line in process.stdout)
        begin = time.monotonic()
        process.send_signal(signal.SIGINT)
        process.communicate()
        assert heard, f"it ended before it said {words!r}"
        return time.monotonic() - begin


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=3)
    args = parser.parse_args()
    for name, words, program in (
        ("bridge", "offers run_episode", BRIDGE),
        ("system", "system ready", SYSTEM),
        ("deaf system", "system ready", ("-c", DEAF)),
    ):
        found = [ending(words, *program) for _ in range(args.times)]
        print(f"{name}: {', '.join(f'{seconds:.2f} s' for seconds in found)}", flush=True)


if __name__ == "__main__":
    main()
