"""A strict robot as a process of its own, for tests and rehearsals."""

from __future__ import annotations

import subprocess
import sys
import threading

from vla_sae_ros.core.errors import SimulationError
from vla_sae_ros.robot.strict_sim.remote import RemoteClient

_PATIENCE = 30.0
"""[s] until it has to serve."""


class StrictRobotProcess:
    """Starts one, waits until it serves, and ends it with the block.

    Args:
        host: a loopback address that nobody else uses, e.g. "127.1.2.3".
        arguments: more of the command line, e.g. "--robot", "panda".

    Raises:
        SimulationError: it does not serve.
    """

    def __init__(self, host: str, *arguments: str) -> None:
        self.host = host
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "vla_sae_ros.robot.strict_sim",
                "--host",
                host,
                "--orders-port",
                "0",
                *arguments,
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        line = self._first_line()
        if not line.startswith("serving"):
            self.kill()
            raise SimulationError(f"The strict robot at {host} does not serve: {line!r}")
        self.orders = RemoteClient(host, int(line.split("port ")[1].split(";")[0]))

    def __enter__(self) -> StrictRobotProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def kill(self) -> None:
        """End it at once, as a power cut would."""
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """End it; harmless when it has ended already."""
        self.kill()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _first_line(self) -> str:
        assert self._process.stdout is not None
        timer = threading.Timer(_PATIENCE, self._process.kill)
        timer.start()
        line = self._process.stdout.readline()
        timer.cancel()
        return line.strip()
