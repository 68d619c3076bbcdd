"""Journals: whole lines outlive their writer, and no line is glued to half of another."""

from __future__ import annotations

import json
import logging
import math
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from vla_sae_ros.core.errors import ConfigurationError, RecordingError
from vla_sae_ros.core.journal import Journal, append_to_journal, read_journal


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "new" / "journal.jsonl"


def entries(path: Path) -> list:
    return list(read_journal(path, lambda line: line).entries)


def test_what_was_added_is_read_back_and_the_next_writer_goes_on(path: Path) -> None:
    for number in range(3):
        append_to_journal(path, {"number": number, "words": "a\nb\u2028c"})
    assert [each["number"] for each in entries(path)] == [0, 1, 2]
    assert len(path.read_bytes().splitlines()) == 3


def test_a_file_that_is_not_there_is_empty(path: Path) -> None:
    read = read_journal(path, dict)
    assert read.entries == () and read.cut == 0


@pytest.mark.parametrize("left", range(1, 20))
def test_a_last_line_cut_anywhere_is_read_round_and_counted_and_said(path, left, caplog) -> None:
    append_to_journal(path, {"a": 1})
    line = json.dumps({"b": [1, 2], "c": "ü"}).encode()
    path.write_bytes(path.read_bytes() + line[:left])
    with caplog.at_level(logging.WARNING):
        read = read_journal(path, dict)
    assert read.entries == ({"a": 1},) and read.cut == left
    assert str(path) in caplog.text and "cut short" in caplog.text
    with Journal(path) as journal:
        assert journal.cut == left
        journal.add({"d": 2})
    assert entries(path) == [{"a": 1}, {"d": 2}]


def test_a_whole_last_line_without_its_end_is_a_line(path: Path) -> None:
    append_to_journal(path, {"a": 1})
    path.write_text('{"a": 1}\n{"b": 2}')
    assert entries(path) == [{"a": 1}, {"b": 2}]
    append_to_journal(path, {"c": 3})
    assert entries(path) == [{"a": 1}, {"b": 2}, {"c": 3}]


def test_a_cut_line_longer_than_a_block_is_taken_off_whole(path: Path) -> None:
    append_to_journal(path, {"a": 1})
    path.write_bytes(path.read_bytes() + b'{"long": "' + b"x" * 200_000)
    append_to_journal(path, {"b": 2})
    assert entries(path) == [{"a": 1}, {"b": 2}]


@pytest.mark.parametrize("text", ["dear diary", '{"a": 1}\ndear diary', "[1, 2"])
def test_a_file_of_something_else_is_left_alone(path: Path, text: str) -> None:
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises(RecordingError, match="not a file of JSON lines"):
        append_to_journal(path, {"a": 1})
    assert path.read_text() == text
    with pytest.raises(ConfigurationError, match="not a file of JSON lines"):
        read_journal(path, dict, damaged=ConfigurationError)


@pytest.mark.parametrize(
    "line", ["{", "nonsense", '{"a": 1}{"b": 2}', "", "3", "\0\0\0", "[" * 9999]
)
def test_a_damaged_line_in_the_middle_is_named_by_its_number(path: Path, line: str) -> None:
    path.parent.mkdir()
    path.write_text(f'{{"a": 1}}\n{line}\n{{"b": 2}}\n')
    with pytest.raises(RecordingError, match=r"Line 2 of .*journal.jsonl .* Do this\."):
        read_journal(path, lambda value: value["a" if "a" in value else "b"], "Do this.")


def test_nan_comes_back_as_nan(path: Path) -> None:
    append_to_journal(path, {"loss": math.nan})
    assert math.isnan(entries(path)[0]["loss"])


def test_every_line_outlives_a_writer_that_is_killed_at_once(path: Path) -> None:
    program = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from vla_sae_ros.core.journal import Journal\n"
        "journal = Journal(Path(sys.argv[1]))\n"
        "for number in range(100): journal.add({'number': number})\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(path)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert [each["number"] for each in entries(path)] == [*range(100)]


def test_a_full_disk_leaves_the_file_as_it_was(path: Path) -> None:
    """A limit on the size of files stands for the disk: the write takes a part, then fails."""
    with Journal(path) as journal:
        journal.add({"a": 1})
        before = path.read_bytes()
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 10, limits[1]))
        try:
            with pytest.raises(OSError, match="too large"):
                journal.add({"words": "x" * 100})
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
            signal.signal(signal.SIGXFSZ, ignored)
        assert path.read_bytes() == before
        journal.add({"b": 2})
        assert journal.size == os.path.getsize(path)
    assert entries(path) == [{"a": 1}, {"b": 2}]
