"""Walk through an MCAP file, also one that was never closed, was cut off or is damaged.

A record is an opcode (1 byte), the length of its content (8 bytes, little-endian) and the content
(MCAP specification, "Records"). No index and no end of the file is needed. Where a record cannot
be right, the walk goes on at the next bytes that can be one.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from mmap import mmap

from mcap.data_stream import ReadDataStream
from mcap.opcode import Opcode
from mcap.records import Channel, Chunk, Schema, Statistics
from mcap.stream_reader import get_chunk_data_stream

from vla_sae_ros.bags.storage.record_search import (
    CHUNK_HEAD,
    HEAD,
    MESSAGE_HEAD,
    Buffer,
    chunk_end,
    length_at,
    next_record,
)

MAGIC = b"\x89MCAP0\r\n"
MAX_CHUNK_BYTES = 2**31
"""[B] a chunk that claims to be larger than this when unpacked is taken for damaged."""
_FOOTER_BYTES = 20
_SKIPPED_BYTES = 4096  # [B] more than a record has that is neither message, index nor attachment
_LARGE = frozenset({Opcode.ATTACHMENT, Opcode.METADATA, Opcode.CHUNK_INDEX})
_PRIVATE = 0x80  # opcodes from here on are anybody's own
_MESSAGE = struct.Struct("<HIQ")
_PARSED: dict[int, type[Schema] | type[Channel] | type[Statistics]] = {
    Opcode.SCHEMA: Schema,
    Opcode.CHANNEL: Channel,
    Opcode.STATISTICS: Statistics,
}


@dataclass(frozen=True)
class Damage:
    """Bytes of a file that could not be read."""

    offset: int
    """[B] from the file's start."""
    size: int
    """[B]."""
    reason: str


@dataclass(frozen=True, slots=True)
class MessagePlace:
    """Where one complete message is."""

    channel_id: int
    log_time: int
    """[ns] time of reception."""
    chunk: int
    """[B] offset of the compressed chunk that holds it; -1 when its bytes stand in the file."""
    offset: int
    """[B] of its data, in the file or in the unpacked chunk."""
    size: int
    """[B]."""


Piece = Schema | Channel | Statistics | MessagePlace | Damage


def walk(data: bytes | mmap) -> Iterator[Piece]:
    """Yield every complete schema, channel and message of a file in order, and what is damaged.

    A Statistics record is yielded where the file has one.
    """
    yield from _Walk(data, -1, set()).records(min(len(MAGIC), len(data)), len(data), inside=False)


def unpacked(data: bytes | mmap, offset: int) -> bytes:
    """Return the records in the chunk at `offset`, whatever its checksum says."""
    return _unpack(_chunk_at(data, offset))


@dataclass(frozen=True)
class _Walk:
    """A walk through one buffer: the file, or a chunk that was unpacked."""

    data: Buffer
    chunk: int
    """[B] offset of that chunk in the file; -1 for the file."""
    channels: set[int]
    """Ids seen so far."""

    def records(self, begin: int, end: int, inside: bool) -> Iterator[Piece]:
        """Yield what the records between two offsets hold; `inside` a chunk are no others."""
        data, offset, previous = self.data, begin, begin
        while offset < end:
            if not inside and _is_footer(data, offset, end):
                return
            stop = _end(data, offset, end)
            pieces = None if stop is None else self._pieces(offset, stop, inside)
            if stop is not None and pieces is not None:
                yield from pieces
                previous, offset = offset, stop
                continue
            if stop is None and not inside and _open_chunk(data, offset, end):
                yield Damage(offset, 0, "a chunk is cut off: its complete messages are read")
                previous = offset
                offset = min(end, offset + HEAD + CHUNK_HEAD + 12)
                continue
            # The record before may have claimed too many bytes: look again within it.
            again = previous < offset and data[previous] != Opcode.CHUNK
            found = next_record(data, (previous if again else offset) + 1, end, self.channels)
            at = self.chunk if self.chunk >= 0 else offset
            if stop is None and found < end and self._is_message(offset, found):
                yield Damage(at, 0, "a message's length is damaged: it is read to the next record")
                yield self._message(offset, found)
            else:
                reason = _reason(data, offset, stop, found, end)
                yield Damage(at, max(found - offset, 0), reason)
            previous = offset = found

    def _is_message(self, offset: int, stop: int) -> bool:
        """Say whether a message of a known channel may fill these bytes."""
        fits = stop - offset >= HEAD + MESSAGE_HEAD and self.data[offset] == Opcode.MESSAGE
        return fits and _MESSAGE.unpack_from(self.data, offset + HEAD)[0] in self.channels

    def _message(self, offset: int, stop: int) -> MessagePlace:
        channel, _, time = _MESSAGE.unpack_from(self.data, offset + HEAD)
        begin = offset + HEAD + MESSAGE_HEAD
        return MessagePlace(channel, time, self.chunk, begin, stop - begin)

    def _pieces(self, offset: int, stop: int, inside: bool) -> Iterator[Piece] | None:
        """Return what one complete record holds; None when it cannot be a record of this kind."""
        opcode, size = self.data[offset], stop - offset - HEAD
        if opcode == Opcode.MESSAGE:
            if size < MESSAGE_HEAD:
                return None
            return iter([self._message(offset, stop)])
        if opcode in _PARSED:
            return self._parsed(offset, stop)
        if inside:
            return None
        if opcode == Opcode.CHUNK:
            return self._chunk(offset, stop)
        if opcode == Opcode.MESSAGE_INDEX:
            return iter(()) if size == 6 + _uint32(self.data, offset + HEAD + 2) else None
        if 1 <= opcode <= max(Opcode):
            return iter(()) if size <= _SKIPPED_BYTES or opcode in _LARGE else None
        return iter(()) if opcode >= _PRIVATE else None

    def _parsed(self, offset: int, stop: int) -> Iterator[Piece] | None:
        try:
            read = _PARSED[self.data[offset]].read(_stream(self.data, offset, stop))
        except Exception:  # whatever a parser meets in damaged bytes
            return None
        if isinstance(read, Channel):
            self.channels.add(read.id)
        return iter([] if read is None else [read])

    def _chunk(self, offset: int, stop: int) -> Iterator[Piece]:
        """Yield what a complete chunk holds."""
        try:
            chunk = _chunk_at(self.data, offset)
            records = _unpack(chunk)
        except Exception as error:  # whatever a decoder meets in damaged bytes
            yield Damage(offset, stop - offset, f"a chunk cannot be unpacked: {error}")
            return
        if chunk.uncompressed_crc and zlib.crc32(records) != chunk.uncompressed_crc:
            yield Damage(offset, 0, "a chunk's checksum is wrong: some of its messages may be")
        if chunk.compression:
            within = _Walk(records, offset, self.channels)
            yield from within.records(0, len(records), inside=True)
        else:
            yield from self.records(stop - len(records), stop, inside=True)


def _end(data: Buffer, offset: int, end: int) -> int | None:
    """Return where the record at `offset` ends; None when it cannot be right."""
    if offset + HEAD > end:
        return None
    stop = offset + HEAD + length_at(data, offset)
    if data[offset] == Opcode.CHUNK:
        inner = chunk_end(data, offset, end)
        return inner if inner is not None and inner <= end else None
    return stop if stop <= end else None


def _chunk_at(data: Buffer, offset: int) -> Chunk:
    stop = chunk_end(data, offset, len(data))
    assert stop is not None, "a chunk starts here"
    return Chunk.read(_stream(data, offset, stop))


def _unpack(chunk: Chunk) -> bytes:
    if not chunk.compression:
        return chunk.data
    if chunk.uncompressed_size > MAX_CHUNK_BYTES:
        raise ValueError(f"it claims to hold {chunk.uncompressed_size} bytes")
    stream, length = get_chunk_data_stream(chunk)
    return bytes(stream.read(length))


def _stream(data: Buffer, offset: int, stop: int) -> ReadDataStream:
    return ReadDataStream(BytesIO(data[offset + HEAD : stop]))


def _open_chunk(data: Buffer, offset: int, end: int) -> bool:
    """Say whether at `offset` begins a chunk that is not compressed."""
    at = offset + HEAD + CHUNK_HEAD
    return data[offset] == Opcode.CHUNK and at + 12 <= end and _uint32(data, at) == 0


def _is_footer(data: Buffer, offset: int, end: int) -> bool:
    return (
        offset + HEAD + _FOOTER_BYTES + len(MAGIC) == end
        and data[offset] == Opcode.FOOTER
        and length_at(data, offset) == _FOOTER_BYTES
    )


def _reason(data: Buffer, offset: int, stop: int | None, found: int, end: int) -> str:
    if found >= end and stop is None:
        return "the last record is cut off or damaged"
    return f"a damaged record (kind {data[offset]})"


def _uint32(data: Buffer, offset: int) -> int:
    return int.from_bytes(data[offset : offset + 4], "little")
