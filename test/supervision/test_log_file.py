from __future__ import annotations

from pathlib import Path

import pytest

from vla_sae_ros.supervision.log_file import LogFile


def test_a_line_is_on_the_disk_at_once(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "a.log", on_failure=pytest.fail)
    log.write("one\n")
    assert (tmp_path / "a.log").read_text() == "one\n"
    log.close()


def test_a_full_disk_is_said_once_and_raises_nothing() -> None:
    said: list[str] = []
    log = LogFile(Path("/dev/full"), said.append)
    log.write("one\n")
    log.write("two\n")
    log.close()
    assert len(said) == 1 and "No space left" in said[0]


def test_a_folder_that_is_missing_is_said(tmp_path: Path) -> None:
    said: list[str] = []
    LogFile(tmp_path / "missing" / "a.log", said.append).write("one\n")
    assert len(said) == 1 and "No such file" in said[0]
