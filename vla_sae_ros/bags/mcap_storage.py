"""MCAP files written with few copies: a message's bytes go from DDS to the file as they came."""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

from rosbags.interfaces import Connection
from rosbags.rosbag2 import CompressionMode, StoragePlugin, Writer
from rosbags.rosbag2.storage_mcap import McapWriter

CHUNK_BYTES = 2**20
"""A chunk is closed once it is larger; one message is never split."""

_RECORD = struct.Struct("<BQ")  # opcode, length of the content
_MESSAGE = struct.Struct("<BQHIQQ")  # a record's head, then channel, sequence, two times
_MESSAGE_HEAD = _MESSAGE.size - _RECORD.size
_CHUNK = struct.Struct("<BQQQQIIQ")  # head, first and last time, size, no CRC, "", size
_INDEX = struct.Struct("<BQHI")
_CHUNK_INDEX = struct.Struct("<QQQQI")
_CHUNK_INDEX_END = struct.Struct("<QIQQ")  # size of the index, "", compressed size, size


class FrugalStorage(McapWriter):
    """rosbags' MCAP storage, without compression, that collects a chunk as a list of pieces.

    The original copies every message five times on its way. When writing a chunk fails, the chunk
    is still there and the next `close_chunk` or `close` writes it again.
    """

    def __init__(self, path: Path, compression: CompressionMode) -> None:
        super().__init__(path, compression)
        self._pieces: list[bytes | memoryview] = []
        self._size = 0

    @property
    def pending(self) -> bool:
        """Whether a chunk waits to be written."""
        return bool(self._pieces or self.chunk.bio.tell())

    def write(self, connection: Connection, timestamp: int, data: bytes | memoryview) -> None:
        """Add one serialized message; timestamp [ns]."""
        self._take_announcements()
        chunk = self.chunk
        chunk.message_start_time = min(timestamp, chunk.message_start_time)
        chunk.message_end_time = max(timestamp, chunk.message_end_time)
        self.message_start_time = min(timestamp, self.message_start_time)
        self.message_end_time = max(timestamp, self.message_end_time)
        self.channel_stats[connection.id] += 1
        chunk.msgs[connection.id].append((timestamp, self._size))
        head = _MESSAGE.pack(
            0x05, _MESSAGE_HEAD + len(data), connection.id, 0, timestamp, timestamp
        )
        self._add(head, data)
        if self._size > CHUNK_BYTES:
            self.close_chunk()

    def close_chunk(self) -> None:
        """Write the pending chunk and its index to the file."""
        self._take_announcements()
        chunk, start = self.chunk, self.bio.tell()
        self.bio.write(
            _CHUNK.pack(
                0x06,
                _CHUNK.size - _RECORD.size + self._size,
                chunk.message_start_time,
                chunk.message_end_time,
                self._size,
                0,
                0,
                self._size,
            )
        )
        self.bio.writelines(self._pieces)
        end = self.bio.tell()
        offsets = [
            (channel, self._write_index(channel, entries))
            for channel, entries in chunk.msgs.items()
        ]
        self._remember(start, end, offsets)
        self._pieces, self._size = [], 0
        self.chunk = type(chunk)(2**63 - 1, 0, BytesIO(), defaultdict(list))

    def close(self, version: int, metadata: str) -> None:
        """Write what is pending, the summary and the footer."""
        if self.pending:
            self.close_chunk()
        super().close(version, metadata)

    def _take_announcements(self) -> None:
        """Move schemas and channels, which the original writes to chunk.bio, to the pieces."""
        if self.chunk.bio.tell():
            self._add(self.chunk.bio.getvalue())
            self.chunk.bio = BytesIO()

    def _add(self, *pieces: bytes | memoryview) -> None:
        self._pieces += pieces
        self._size += sum(map(len, pieces))

    def _write_index(self, channel: int, entries: Sequence[tuple[int, int]]) -> int:
        """Write the message index of one channel; return where it is in the file."""
        offset = self.bio.tell()
        size = 16 * len(entries)
        numbers = [number for entry in entries for number in entry]
        self.bio.write(
            _INDEX.pack(0x07, 6 + size, channel, size) + struct.pack(f"<{len(numbers)}Q", *numbers)
        )
        return offset

    def _remember(self, start: int, end: int, offsets: Sequence[tuple[int, int]]) -> None:
        """Keep the content of the chunk index record, which `close` writes."""
        chunk = self.chunk
        record = BytesIO()
        record.write(
            _CHUNK_INDEX.pack(
                chunk.message_start_time,
                chunk.message_end_time,
                start,
                end - start,
                10 * len(offsets),
            )
        )
        for channel, offset in offsets:
            record.write(struct.pack("<HQ", channel, offset))
        record.write(_CHUNK_INDEX_END.pack(self.bio.tell() - end, 0, self._size, self._size))
        self.chunks.append(record)


class FrugalWriter(Writer):
    """rosbags' writer of rosbag2 folders, with that storage."""

    STORAGE_PLUGINS = {StoragePlugin.MCAP: FrugalStorage}  # noqa: RUF012  (as in the base class)
