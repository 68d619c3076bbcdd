"""Message types as the bag itself defines them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from mcap.records import Schema
from rosbags.interfaces import MessageDefinition, MessageDefinitionFormat
from rosbags.typesys import Stores, get_types_from_idl, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from vla_sae_ros.bags.storage.needed_fields import missing_field
from vla_sae_ros.core.errors import RecordingError

_IDL = "ros2idl"
_SEPARATOR = "=" * 80 + "\n"
_MAX_TEXTS = 1000  # damaged texts in one message that are mended


@dataclass(frozen=True)
class RecordedType:
    """One message type: its definition and what turns bytes into messages of it."""

    msgtype: str
    definition: MessageDefinition
    digest: str
    """RIHS01 hash of the definition."""
    store: Typestore

    def read(self, raw: bytes) -> tuple[Any, bytes]:
        """Return the message in CDR bytes, and the bytes it was read from.

        They differ where a text is no UTF-8: each wrong byte is a question mark then.

        Raises RecordingError when they are no message of this type.
        """
        for _ in range(_MAX_TEXTS):
            try:
                return self.store.deserialize_cdr(raw, self.msgtype), raw
            except Exception as error:  # whatever a decoder meets in damaged bytes
                cause = error.__cause__ or error
                if not isinstance(cause, UnicodeDecodeError):
                    raise RecordingError("cut off or damaged") from error
                raw = _mended(raw, cause)
        raise RecordingError("too many texts that are not valid UTF-8")


def recorded_type(candidates: Sequence[Schema], digest: str) -> RecordedType:
    """Return the type of the first definition that has the hash `digest`, or that can be used.

    A file holds each definition twice, so that a damaged one can be replaced.

    Raises RecordingError when none can be used.
    """
    usable: list[RecordedType] = []
    why = "its definition is not in the file"
    for schema in candidates:
        try:
            found = _parsed(schema.name, schema.encoding, schema.data)
        except Exception as error:  # whatever a parser meets in damaged text
            why = f"its definition cannot be read ({type(error).__name__})"
            continue
        if (gone := missing_field(found.store, schema.name)) is not None:
            why = f"its definition does not contain {gone}"
            continue
        usable.append(found)
    for each in usable:
        if each.digest == digest:
            return each
    if not usable:
        raise RecordingError(why)
    return usable[0]


@lru_cache(maxsize=200)  # parsing takes longer than reading most bags
def _parsed(name: str, encoding: str, data: bytes) -> RecordedType:
    text = data.decode()
    store = get_typestore(Stores.EMPTY)
    if encoding == _IDL:
        for part in _idl_parts(text):
            store.register(get_types_from_idl(part))
        kind = MessageDefinitionFormat.IDL
    else:
        store.register(get_types_from_msg(text, name))
        kind = MessageDefinitionFormat.MSG
    digest = store.hash_rihs01(name)
    return RecordedType(name, MessageDefinition(kind, text), digest, store)


def _idl_parts(text: str) -> Iterator[str]:
    if not text.startswith(_SEPARATOR):
        yield text
        return
    for part in text.split(_SEPARATOR)[1:]:
        yield part.split("\n", 1)[1]


def _mended(raw: bytes, error: UnicodeDecodeError) -> bytes:
    """Return the bytes with a text that is no UTF-8 made one of the same length."""
    text = bytearray(error.object)
    text[error.start : error.end] = b"?" * (error.end - error.start)
    while True:
        try:
            text.decode()
        except UnicodeDecodeError as next_error:
            text[next_error.start : next_error.end] = b"?" * (next_error.end - next_error.start)
        else:
            return raw.replace(error.object, bytes(text))
