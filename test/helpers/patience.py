"""How long a test waits for what must happen, and the ways to wait.

A test that passes never waits this long: it goes on when the event comes. So the limit is for a
machine on which many other things run, and pytest's own limit (pyproject.toml) lies above it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

PATIENCE = 300.0
"""[s] that anything may take."""
PATIENCE_MS = int(1000 * PATIENCE)
WORK = 1500.0
"""[s] that a program may take to do its work: load a policy, run an episode, export, train."""


def eventually[T](condition: Callable[[], T], what: object = "it never happened") -> T:
    """Ask again and again until `condition` is true; return its answer.

    For what tells nobody when it changes. Whatever can wake a waiting thread shall do so instead.
    """
    until = time.monotonic() + PATIENCE
    while not (answer := condition()):
        assert time.monotonic() < until, what
        time.sleep(0.01)
    return answer


def answer_of(future: Any) -> Any:
    """Wait for a future of rclpy that another thread spins for; return its result."""
    done = threading.Event()
    future.add_done_callback(lambda _: done.set())
    assert done.wait(PATIENCE), "no answer"
    return future.result()
