"""A strict robot in a process, and a thread that drives it: franky makes its thread real-time."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from patience import PATIENCE

from vla_sae_ros.robot.strict_sim.process import StrictRobotProcess

PATIENT = ("--patience", "5")
"""The robot waits for a late command: only what a test drops is lost, however busy the machine."""


def loopback(number: int) -> str:
    """Return an address of this test process's own."""
    return f"127.{1 + os.getpid() // 250 % 250}.{1 + os.getpid() % 250}.{number}"


class OwnThread:
    """Runs everything on one thread."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1)

    def __call__[T](self, work: Callable[..., T], *arguments: Any) -> T:
        return self._pool.submit(work, *arguments).result(PATIENCE)

    def close(self) -> None:
        self._pool.shutdown()


def strict_robot(number: int, *arguments: str) -> StrictRobotProcess:
    return StrictRobotProcess(loopback(number), *PATIENT, *arguments)
