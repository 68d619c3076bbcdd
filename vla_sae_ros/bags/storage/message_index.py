"""Where every message of an MCAP file is, and in which order they came."""

from __future__ import annotations

import mmap
from collections import OrderedDict, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
from mcap.records import Channel, Schema, Statistics

from vla_sae_ros.bags.storage.salvage import MAGIC, Damage, MessagePlace, unpacked, walk
from vla_sae_ros.core.errors import RecordingError

CLOCK_JUMP_NS = 10**9
"""A topic whose messages were received this much earlier than the one before: the clock was set."""
_CACHED_BYTES = 64 * 2**20


@dataclass
class IndexedFile:
    """One file, open for reading."""

    path: Path
    schemas: dict[int, list[Schema]] = field(default_factory=lambda: defaultdict(list))
    """Every definition under an id: a file holds them twice, and either may be damaged."""
    channels: dict[int, list[Channel]] = field(default_factory=lambda: defaultdict(list))
    damages: list[Damage] = field(default_factory=list)
    declared: int | None = None
    """Messages by the file's own statistics; None without any."""
    clock_jumps: int = 0
    """Times at which the clock of reception was set back."""
    channel: npt.NDArray[np.uint16] = field(default_factory=lambda: np.zeros(0, np.uint16))
    """(N,) channel id of each message, in the order of reading."""
    time: npt.NDArray[np.uint64] = field(default_factory=lambda: np.zeros(0, np.uint64))
    """(N,) [ns] of reception."""
    _place: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros((0, 3), np.int64))
    """(N, 3) chunk, offset, size of MessagePlace."""

    def __post_init__(self) -> None:
        """Read the file once; RecordingError when it is no MCAP file."""
        self._unpacked: OrderedDict[int, bytes] = OrderedDict()
        with self.path.open("rb") as file:
            magic = file.read(len(MAGIC))
            if not MAGIC.startswith(magic):
                raise RecordingError(f"{self.path} is not an MCAP file: it begins with {magic!r}.")
            empty = not file.seek(0, 2)
            self._data: bytes | mmap.mmap = (
                b"" if empty else mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            )
        self._walk()

    def data(self, number: int) -> bytes:
        """Return the bytes of one message."""
        chunk, offset, size = self._place[number].tolist()
        source = self._data if chunk < 0 else self._records(chunk)
        return bytes(source[offset : offset + size])

    def numbers(self, channels: frozenset[int]) -> Iterator[int]:
        """Yield the numbers of the messages of some channels, in order."""
        wanted = np.isin(self.channel, np.fromiter(channels, np.uint16))
        yield from np.flatnonzero(wanted).tolist()

    def close(self) -> None:
        """Let go of the file."""
        if isinstance(self._data, mmap.mmap):
            self._data.close()
        self._data = b""

    def _records(self, chunk: int) -> bytes:
        if chunk not in self._unpacked:
            while sum(map(len, self._unpacked.values())) > _CACHED_BYTES:
                self._unpacked.popitem(last=False)
            self._unpacked[chunk] = unpacked(self._data, chunk)
        self._unpacked.move_to_end(chunk)
        return self._unpacked[chunk]

    def _walk(self) -> None:
        found: list[MessagePlace] = []
        for piece in walk(self._data):
            match piece:
                case MessagePlace():
                    found.append(piece)
                case Schema() if piece not in self.schemas[piece.id]:
                    self.schemas[piece.id].append(piece)
                case Channel() if piece not in self.channels[piece.id]:
                    self.channels[piece.id].append(piece)
                case Damage():
                    self.damages.append(piece)
                case Statistics():
                    self.declared = piece.message_count
        self._sort(found)

    def _sort(self, found: list[MessagePlace]) -> None:
        """Order by the time of reception, between two settings of the clock."""
        channel = np.array([each.channel_id for each in found], np.uint16)
        time = np.array([each.log_time for each in found], np.uint64)
        place = np.array([(e.chunk, e.offset, e.size) for e in found], np.int64).reshape(-1, 3)
        span = _spans(channel, time)
        self.clock_jumps = int(span[-1]) if len(span) else 0
        order = np.lexsort((time, span))
        self.channel, self.time, self._place = channel[order], time[order], place[order]


def _spans(channel: npt.NDArray[np.uint16], time: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
    """Return for each message how often the clock had been set back when it was written."""
    span, current = np.zeros(len(time), np.int64), 0
    newest: dict[int, int] = {}
    for number, (each, received) in enumerate(zip(channel.tolist(), time.tolist(), strict=True)):
        if received < newest.get(each, 0) - CLOCK_JUMP_NS:
            current += 1
            newest.clear()
        newest[each] = received
        span[number] = current
    return span
