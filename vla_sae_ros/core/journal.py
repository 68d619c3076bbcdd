"""Journals: files of JSON lines to which a long-lived process adds, and which outlive its death."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from vla_sae_ros.core.errors import RecordingError, VlaSaeError

_log = logging.getLogger(__name__)
_BLOCK = 65_536  # [bytes] read in one go to find the last line


@dataclass(frozen=True)
class JournalContent[T]:
    """What a journal holds.

    entries: one per line. cut: bytes of a last line that was cut short; it is no entry.
    """

    entries: tuple[T, ...] = ()
    cut: int = 0


class Journal:
    """Adds lines to one file; one process writes to it at a time.

    When `add` returns, the whole line is with the operating system: it outlives the death of this
    process, kill -9 included. Where `synced`, it is on the disk and outlives a crash of the
    machine, at the price of a few milliseconds. NaN is written as Python's json writes and reads
    it.

    A last line that a dead writer has cut short is taken off when the journal is opened, so that no
    line is ever glued to half of another.

    Args:
        path: is made, with its folder, when it is missing.
        synced: whether every line is brought to the disk before `add` returns.

    Raises:
        OSError: the file cannot be written.
        RecordingError: its last line is no JSON, so the file is something else; it is left alone.
    """

    def __init__(self, path: Path, synced: bool = False) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path, self._synced = path, synced
        self._file = path.open("ab", buffering=0)
        try:
            self.size = self._file.tell()
            """[bytes]"""
            tail = _tail(path)
            self.cut = _cut(path, tail, "is taken off")
            """Bytes of a last line that were taken off."""
            if self.cut:
                self.size -= self.cut
                self._file.truncate(self.size)
            elif tail:
                self._write(b"\n")  # a line from an editor that puts no end to it
        except (OSError, RecordingError):
            self._file.close()
            raise

    def add(self, entry: Mapping[str, Any]) -> None:
        """Add one line.

        Raises:
            OSError: it could not be written whole (a full disk); the file is as it was before.
            TypeError: the entry holds what is no JSON.
        """
        self._write(json.dumps(entry).encode() + b"\n")

    def close(self) -> None:
        """Close the file; calling it twice is harmless."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _write(self, line: bytes) -> None:
        try:
            written = 0
            while written < len(line):  # a disk that fills up takes a part, then refuses
                written += self._file.write(line[written:]) or 0
            if self._synced:
                os.fsync(self._file.fileno())
        except OSError:
            self._file.truncate(self.size)
            raise
        self.size += len(line)


def append_to_journal(path: Path, entry: Mapping[str, Any], synced: bool = False) -> None:
    """Add one line to a journal that is not kept open; as `Journal` does."""
    with Journal(path, synced) as journal:
        journal.add(entry)


def read_journal[T](
    path: Path,
    parse: Callable[[Any], T],
    remedy: str = "Remove the line, or copy the file again.",
    damaged: type[VlaSaeError] = RecordingError,
) -> JournalContent[T]:
    """Read a journal; a file that is not there is empty.

    A last line that was cut short is left out, counted and said in a warning.

    Args:
        parse: makes an entry of a line's JSON value; its ValueError, TypeError, KeyError and
            AttributeError mean that the line is damaged.
        remedy: what to do about a damaged line, a sentence.
        damaged: the error that a damaged line raises, with its number.
    """
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return JournalContent()
    tail = lines.pop()
    cut = _cut(path, tail, "is left out", damaged)
    if tail and not cut:
        lines.append(tail)
    entries = []
    for number, line in enumerate(lines, 1):
        try:
            entries.append(parse(json.loads(line)))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise damaged(
                f"Line {number} of {path} is damaged ({error or type(error).__name__}): "
                f"{_shown(line)}. {remedy}"
            ) from error
    return JournalContent(tuple(entries), cut)


def _cut(
    path: Path, tail: bytes, what_happens: str, damaged: type[VlaSaeError] = RecordingError
) -> int:
    """Return how many bytes of a last line without its end are half of an object; say so.

    A whole object is a line all the same. Anything else was never half a line of a journal.
    """
    if not tail:
        return 0
    try:
        json.loads(tail)
    except (ValueError, RecursionError):
        if not tail.startswith(b"{"):
            raise damaged(
                f"{path} is not a file of JSON lines: it ends with {_shown(tail)}. Name another "
                "file."
            ) from None
        words = "%s: its last line was cut short and %s (%d bytes)"
        _log.warning(words, path, what_happens, len(tail))
        return len(tail)
    return 0


def _tail(path: Path) -> bytes:
    """Return what stands after the last line's end."""
    tail = b""
    with path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        while end > 0 and b"\n" not in tail:
            start = max(0, end - _BLOCK)
            file.seek(start)
            tail = file.read(end - start) + tail
            end = start
    return tail.rpartition(b"\n")[2]


def _shown(line: bytes) -> str:
    return repr(line[:80].decode(errors="replace"))
