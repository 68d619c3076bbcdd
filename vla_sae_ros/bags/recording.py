"""One running recording: a bounded queue, and the one thread that writes it into a bag."""

from __future__ import annotations

import shutil
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from rosbags.interfaces import Qos

from vla_sae_ros.bags.writer import BagWriter
from vla_sae_ros.resources import software_version

_LINGER = 0.005  # [s] in which messages gather once the writer has written all there was


class RecordingPhase(Enum):
    """Where a recording stands."""

    WRITING = "writing"
    CLOSED = "closed"  # stopped on request; the bag is complete
    FAILED = "failed"  # stopped by a full disk or a write error; see `reason`


@dataclass(frozen=True)
class RecordingLimits:
    """What a recording may use."""

    max_queued_bytes: int = 256 * 2**20  # [B] waiting for the disk; more is dropped and counted
    min_free_bytes: int = 500 * 10**6  # [B] left free on the disk; less stops the recording
    flush_period: float = 0.5  # [s] between flushes and looks at the disk; a kill loses no more


@dataclass(frozen=True)
class RecordingStatus:
    """A moment's view of a recording."""

    phase: RecordingPhase
    reason: str
    folder: Path
    messages: int  # written
    bytes: int  # written, of serialized messages
    queued: int  # messages waiting for the disk
    dropped: dict[str, int] = field(default_factory=dict)  # topic -> messages not written
    seconds: float = 0.0  # since the start, up to the end

    @property
    def dropped_total(self) -> int:
        """Messages that arrived and were not written."""
        return sum(self.dropped.values())


@dataclass(frozen=True)
class _Announcement:
    topic: str
    msgtype: str
    offered: Sequence[Qos]


@dataclass(frozen=True)
class _Message:
    topic: str
    received_ns: int
    data: bytes


@dataclass(frozen=True)
class _Flush:
    """Nothing to write, but time to flush."""


_Item = _Announcement | _Message | _Flush


class Recording:
    """Writes what `put` hands over, in order, on a thread of its own."""

    def __init__(
        self,
        writer: BagWriter,
        limits: RecordingLimits | None = None,
        free_bytes: Callable[[Path], int] = lambda folder: shutil.disk_usage(folder).free,
    ) -> None:
        """Start the writer thread; from here on it owns `writer`."""
        self._writer = writer
        self._limits = limits or RecordingLimits()
        self._free_bytes = free_bytes
        self._condition = threading.Condition()
        self._queue: deque[_Item] = deque()
        self._queued_bytes = 0
        self._dropped: Counter[str] = Counter()
        self._phase = RecordingPhase.WRITING
        self._reason = ""
        self._stopping = False
        self._started = time.monotonic()
        self._ended: float | None = None
        self._thread = threading.Thread(target=self._run, name="bag-writer", daemon=True)
        self._thread.start()

    def add_topic(self, topic: str, msgtype: str, offered: Sequence[Qos] = ()) -> None:
        """Announce a topic before its first message."""
        with self._condition:
            self._queue.append(_Announcement(topic, msgtype, offered))
            self._condition.notify()

    def put(self, topic: str, received_ns: int, data: bytes) -> bool:
        """Queue one message; False when it had to be dropped, which is counted."""
        with self._condition:
            full = self._queued_bytes + len(data) > self._limits.max_queued_bytes
            if full or self._stopping or self._phase is not RecordingPhase.WRITING:
                self._dropped[topic] += 1
                return False
            self._queue.append(_Message(topic, received_ns, data))
            self._queued_bytes += len(data)
            if len(self._queue) == 1:  # otherwise the writer is at work
                self._condition.notify()
            return True

    def drop(self, topic: str) -> None:
        """Count a message that was lost before it came here."""
        with self._condition:
            self._dropped[topic] += 1

    def stop(self, timeout: float = 30.0) -> RecordingStatus:
        """Write what is queued, close the bag, return the final status. Again is harmless."""
        with self._condition:
            self._stopping = True
            self._condition.notify()
        self._thread.join(timeout)
        return self.status()

    def status(self) -> RecordingStatus:
        """Return counts and phase as they are now."""
        with self._condition:
            return RecordingStatus(
                self._phase,
                self._reason,
                self._writer.folder,
                self._writer.message_count,
                self._writer.byte_count,
                len(self._queue),
                dict(self._dropped),
                (self._ended or time.monotonic()) - self._started,
            )

    def _run(self) -> None:
        reason = ""
        try:
            self._write_until_stopped()
        except Exception as error:  # a dead writer thread must never look like a running recording
            reason = f"the recording was stopped: {_in_words(error)}"
        self._give_up_queue()
        try:
            self._note(reason)
            self._writer.close()
        except Exception as error:
            reason = (
                f"{reason or 'the bag could not be closed'} ({_in_words(error)}); "
                "its messages were written, its index was not"
            )
        with self._condition:
            self._reason = reason
            self._phase = RecordingPhase.FAILED if reason else RecordingPhase.CLOSED
            self._ended = time.monotonic()

    def _note(self, reason: str) -> None:
        """Leave in the bag's metadata by what it was written and how the recording went."""
        self._writer.note("software_version", software_version())
        self._writer.note("ended", reason or "stopped on request")
        dropped = ", ".join(f"{topic}: {n}" for topic, n in sorted(self._dropped.items()))
        self._writer.note("dropped", dropped or "0")

    def _write_until_stopped(self) -> None:
        next_flush = time.monotonic()
        while (item := self._next(next_flush)) is not None:
            if isinstance(item, _Announcement):
                self._writer.add_topic(item.topic, item.msgtype, item.offered)
            elif isinstance(item, _Message):
                self._writer.write(item.topic, item.received_ns, item.data)
            if time.monotonic() >= next_flush:
                self._check_disk()
                self._writer.flush()
                next_flush = time.monotonic() + self._limits.flush_period

    def _next(self, flush_at: float) -> _Item | None:
        """Wait for the next item; _Flush when none came by `flush_at`, None at the end."""
        if not self._queue:
            self._wait_for_more(flush_at)
        with self._condition:
            if not self._queue:
                return None if self._stopping else _Flush()
            item = self._queue.popleft()
            if isinstance(item, _Message):
                self._queued_bytes -= len(item.data)
            return item

    def _wait_for_more(self, flush_at: float) -> None:
        with self._condition:
            self._condition.wait_for(
                lambda: self._queue or self._stopping, max(0.0, flush_at - time.monotonic())
            )
        # Waking for every message would take the interpreter from the thread that receives them.
        if not self._stopping:
            time.sleep(_LINGER)

    def _check_disk(self) -> None:
        free = self._free_bytes(self._writer.folder)
        if free < self._limits.min_free_bytes:
            raise OSError(
                f"{free / 1e6:.0f} MB are free on the disk of {self._writer.folder}, "
                f"{self._limits.min_free_bytes / 1e6:.0f} MB must stay free (min_free_disk)"
            )

    def _give_up_queue(self) -> None:
        """Count what waits as dropped; from here on everything is."""
        with self._condition:
            self._stopping = True
            for item in self._queue:
                if isinstance(item, _Message):
                    self._dropped[item.topic] += 1
            self._queue.clear()
            self._queued_bytes = 0


def _in_words(error: Exception) -> str:
    """Name the kind of error unless its text speaks for itself."""
    return str(error) if isinstance(error, OSError) else f"{type(error).__name__}: {error}"
