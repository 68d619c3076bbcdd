"""Hand-over between the ROS thread and the GUI timer, without a backlog."""

from __future__ import annotations

import threading
from collections import deque


class Mailbox[K, T]:
    """One slot per key: a newer value replaces one that was not taken, which is counted."""

    def __init__(self) -> None:
        """Start empty."""
        self._lock = threading.Lock()
        self._slots: dict[K, T] = {}
        self.replaced = 0

    def put(self, key: K, value: T) -> None:
        """Leave the newest value of `key`."""
        with self._lock:
            self.replaced += key in self._slots
            self._slots[key] = value

    def take(self) -> dict[K, T]:
        """Return what has come since the last call, and empty the slots."""
        with self._lock:
            taken, self._slots = self._slots, {}
            return taken


class Inbox[T]:
    """A short queue for what must not replace one another; lost beyond `limit` are counted."""

    def __init__(self, limit: int = 200) -> None:
        """Keep at most `limit` values."""
        self._lock = threading.Lock()
        self._values: deque[T] = deque(maxlen=limit)
        self.lost = 0

    def put(self, value: T) -> None:
        """Append a value; the oldest is lost when the queue is full."""
        with self._lock:
            self.lost += len(self._values) == self._values.maxlen
            self._values.append(value)

    def take(self) -> list[T]:
        """Return what is there, oldest first, and empty the queue."""
        with self._lock:
            taken = list(self._values)
            self._values.clear()
            return taken
