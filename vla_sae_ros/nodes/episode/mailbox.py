"""Chunks on their way from the executor's thread to the episode's thread."""

from __future__ import annotations

import threading
from collections import deque
from typing import Protocol

from vla_sae_ros.core.chunk_queue import Chunk
from vla_sae_ros.nodes.episode.episode import EpisodeCanceled


class Mailbox(Protocol):
    """Where an episode finds its chunks and waits for time to pass."""

    def get(self, timeout: float) -> Chunk | None:
        """Return the oldest chunk, or None when none comes within timeout seconds.

        Also None, and at once, after a `wake`. Raises EpisodeCanceled as soon as the episode is
        canceled.
        """
        ...

    def wake(self) -> None:
        """Make the present `get`, or else the next one, return; any thread may."""
        ...


class ChunkMailbox:
    """Hands over chunks in the order they came; any thread may put or cancel."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._chunks: deque[Chunk] = deque()
        self._canceled = self._woken = False

    def put(self, chunk: Chunk) -> None:
        """Add a chunk; never blocks."""
        with self._condition:
            self._chunks.append(chunk)
            self._condition.notify()

    def cancel(self) -> None:
        """Make the present and every later `get` raise EpisodeCanceled."""
        with self._condition:
            self._canceled = True
            self._condition.notify()

    def wake(self) -> None:
        """See Mailbox.wake."""
        with self._condition:
            self._woken = True
            self._condition.notify()

    def get(self, timeout: float) -> Chunk | None:
        """See Mailbox.get."""
        with self._condition:
            self._condition.wait_for(
                lambda: self._canceled or self._chunks or self._woken, max(0.0, timeout)
            )
            self._woken = False
            if self._canceled:
                raise EpisodeCanceled
            return self._chunks.popleft() if self._chunks else None
