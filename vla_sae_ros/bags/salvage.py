"""Read what is left in an MCAP file that was never closed, was cut off or is damaged.

A record is an opcode (1 byte), the length of its content (8 bytes, little-endian) and the content
(MCAP specification, "Records"). An index or an end of the file is not needed here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from mcap.data_stream import ReadDataStream
from mcap.opcode import Opcode
from mcap.records import Channel, Chunk, Message, Schema
from mcap.stream_reader import get_chunk_data_stream

from vla_sae_ros.core.errors import RecordingError

MAGIC = b"\x89MCAP0\r\n"
_HEAD = 9  # [B] opcode and length
_CHUNK_HEAD = 28  # [B] of a chunk's content before the name of its compression


@dataclass(frozen=True)
class Damage:
    """Bytes of a file that could not be read."""

    offset: int
    """[B] from the file's start."""
    size: int
    """[B]."""
    reason: str


Piece = Schema | Channel | Message | Damage


def salvage(path: Path) -> Iterator[Piece]:
    """Yield every complete schema, channel and message of a file in order, and what is damaged.

    A file of no bytes yields nothing. Raises RecordingError when the file is no MCAP file.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        magic = file.read(len(MAGIC))
        if not MAGIC.startswith(magic):
            raise RecordingError(f"{path} is no MCAP file: it begins with {magic!r}.")
        while (offset := file.tell()) < size:
            head = file.read(_HEAD)
            opcode, length = head[0], int.from_bytes(head[1:], "little")
            if opcode in (Opcode.DATA_END, Opcode.FOOTER):
                return  # only indexes follow
            if len(head) < _HEAD or offset + _HEAD + length > size or not opcode:
                yield from _torn(file, opcode, offset, size)
                return
            yield from _pieces(opcode, file.read(length), offset)


def _pieces(opcode: int, content: bytes, offset: int) -> Iterator[Piece]:
    """Yield what one complete record holds."""
    stream = ReadDataStream(BytesIO(content))
    try:
        if opcode == Opcode.SCHEMA:
            if (schema := Schema.read(stream)) is not None:
                yield schema
        elif opcode == Opcode.CHANNEL:
            yield Channel.read(stream)
        elif opcode == Opcode.MESSAGE:
            yield Message.read(stream, len(content))
        elif opcode == Opcode.CHUNK:
            data, length = get_chunk_data_stream(Chunk.read(stream), validate_crc=True)
            yield from _within(data.read(length), offset)
    except Exception as error:  # whatever a decoder meets in damaged bytes; the next record may do
        yield Damage(offset, len(content) + _HEAD, f"damaged record: {error}")


def _within(data: bytes, offset: int) -> Iterator[Piece]:
    """Yield the complete records in a chunk's bytes; `offset` is the chunk's in the file."""
    place = 0
    while place < len(data):
        length = int.from_bytes(data[place + 1 : place + _HEAD], "little")
        end = place + _HEAD + length
        if place + _HEAD > len(data) or end > len(data):
            yield Damage(offset, len(data) - place, "the chunk's last record is cut off")
            return
        yield from _pieces(data[place], data[place + _HEAD : end], offset)
        place = end


def _torn(file: BinaryIO, opcode: int, offset: int, size: int) -> Iterator[Piece]:
    """Yield what the cut-off last record still holds: of a chunk, its first messages."""
    rest = file.read(size - offset - _HEAD)
    name = int.from_bytes(rest[_CHUNK_HEAD : _CHUNK_HEAD + 4], "little")
    if opcode == Opcode.CHUNK and len(rest) > _CHUNK_HEAD + 12 and not name:  # not compressed
        yield from _within(rest[_CHUNK_HEAD + 12 :], offset)
    else:
        yield Damage(offset, size - offset, "the last record is cut off")
