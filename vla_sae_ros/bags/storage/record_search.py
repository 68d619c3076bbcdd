"""Find the next record of a damaged MCAP file by what a record looks like."""

from __future__ import annotations

import re
from collections.abc import Set as AbstractSet
from io import BytesIO
from mmap import mmap

from mcap.data_stream import ReadDataStream
from mcap.opcode import Opcode
from mcap.records import Channel, Schema

Buffer = bytes | mmap
HEAD = 9
"""[B] opcode and length."""
CHUNK_HEAD = 28
"""[B] of a chunk's content before the name of its compression."""
MESSAGE_HEAD = 22
"""[B] of a message's content before its data."""
_COMPRESSIONS = (b"", b"lz4", b"zstd")
# Schema, channel, message or chunk, shorter than 4 GiB.
_CANDIDATE = re.compile(rb"[\x03-\x06].{4}\0{4}", re.DOTALL)
_ENCODINGS = ("ros2msg", "ros2idl")


def next_record(data: Buffer, begin: int, end: int, channels: AbstractSet[int]) -> int:
    """Return the offset of the next bytes that can be a record; `end` when there are none.

    Args:
        data: the file, or an unpacked chunk.
        begin, end: [B] where to look.
        channels: known so far; a message of another one is not believed. Empty: of any.
    """
    place = begin
    while (match := _CANDIDATE.search(data, place, end)) is not None:
        place = match.start()
        if _plausible(data, place, end, channels):
            return place
        place += 1
    return end


def length_at(data: Buffer, offset: int) -> int:
    """Return the length [B] of the content that the record at `offset` claims."""
    return int.from_bytes(data[offset + 1 : offset + HEAD], "little")


def chunk_end(data: Buffer, offset: int, end: int) -> int | None:
    """Return where the chunk at `offset` ends, by the size of its records; None: it is no chunk.

    The length of the whole record says the same; one that is damaged does no harm.
    """
    at = offset + HEAD + CHUNK_HEAD
    size = int.from_bytes(data[at : at + 4], "little")
    if size > 4 or bytes(data[at + 4 : at + 4 + size]) not in _COMPRESSIONS:
        return None
    at += 4 + size
    if at + 8 > end:
        return None
    return at + 8 + int.from_bytes(data[at : at + 8], "little")


def _plausible(data: Buffer, offset: int, end: int, channels: AbstractSet[int]) -> bool:
    stop = offset + HEAD + length_at(data, offset)
    if data[offset] == Opcode.CHUNK:
        return chunk_end(data, offset, end) == stop <= end
    if stop > end or not _may_begin(data, stop, end):
        return False
    if data[offset] == Opcode.MESSAGE:
        channel = int.from_bytes(data[offset + HEAD : offset + HEAD + 2], "little")
        return stop - offset >= HEAD + MESSAGE_HEAD and (not channels or channel in channels)
    return _parses(data, offset, stop)


def _parses(data: Buffer, offset: int, stop: int) -> bool:
    stream = ReadDataStream(BytesIO(data[offset + HEAD : stop]))
    try:
        if data[offset] == Opcode.SCHEMA:
            schema = Schema.read(stream)
            fine = schema is not None and schema.encoding in _ENCODINGS
        else:
            fine = Channel.read(stream).topic.startswith("/")
    except Exception:  # whatever a parser meets in bytes that are no such record
        return False
    return fine and stream.count == stop - offset - HEAD


def _may_begin(data: Buffer, offset: int, end: int) -> bool:
    """Say whether a record, or the end, may be at `offset`."""
    if offset + HEAD > end:
        return offset == end
    return 1 <= data[offset] <= max(Opcode) and offset + HEAD + length_at(data, offset) <= end
