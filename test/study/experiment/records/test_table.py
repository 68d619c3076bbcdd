"""The table of an experiment and the files beside it."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from vla_sae_ros.core.errors import RecordingError
from vla_sae_ros.study.experiment.records.files import Latency, Responses
from vla_sae_ros.study.experiment.records.table import TABLE_FILE, Row, read_table, write_table

ROW = Row(
    "0123456789abcdef",
    "lift",
    "P2",
    "rollout",
    "feature",
    "expert.1 feature 80 add +0.5",
    "p",
    "b",
    "expert.1",
    (80, 3),
    "hand up",
    "general",
    "feature:80",
    -1,
    "add",
    "residual_norm",
    0.5,
    "start",
    0,
    -1,
    "dose",
    "pair",
    "libero_object",
    "0:butter_1",
    "do",
    "do",
    41,
    7,
    7,
    0.0,
    "",
    True,
    93,
    "ab",
    0.4,
    0.0,
    1.0,
    "files/x.npz",
    "",
    9.5,
    "host 1",
    1,
    "0.1.0",
)


def test_rows_come_back_as_they_were_written(tmp_path: Path) -> None:
    rows = [ROW, replace(ROW, run_id="f", success=False, features=(), strength=float("inf"))]
    write_table(tmp_path, rows)
    assert read_table(tmp_path) == rows
    write_table(tmp_path, rows[:1])
    assert read_table(tmp_path) == rows[:1]
    assert sorted(path.name for path in tmp_path.iterdir()) == [TABLE_FILE]


def test_an_empty_table_has_its_columns(tmp_path: Path) -> None:
    write_table(tmp_path, [])
    assert read_table(tmp_path) == []
    assert "actions_sha256" in pq.read_schema(tmp_path / TABLE_FILE).names


def test_a_folder_without_a_table_and_a_table_of_other_columns_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="vla-sae evaluate"):
        read_table(tmp_path)
    path = write_table(tmp_path, [ROW])
    pq.write_table(pq.read_table(path).drop_columns(["dose"]), path)
    with pytest.raises(RecordingError, match="dose"):
        read_table(tmp_path)


@pytest.mark.parametrize("rest", [0, 5, -50])
def test_a_table_that_is_not_whole_is_refused(tmp_path: Path, rest: int) -> None:
    path = write_table(tmp_path, [ROW])
    path.write_bytes(path.read_bytes()[:rest])
    with pytest.raises(RecordingError, match=r"table\.parquet is damaged .*vla-sae evaluate"):
        read_table(tmp_path)


def test_a_file_comes_back_and_another_kind_or_half_of_it_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.npz"
    latency = Latency(np.array([1.5, 2.0]), np.array([0.1, 0.2]), np.array(True), np.array(1))
    path.write_bytes(latency.to_bytes())
    again = Latency.load(path)
    assert again.milliseconds.tolist() == [1.5, 2.0] and bool(again.restored)
    with pytest.raises(RecordingError, match="arrays in"):
        Responses.load(path)
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(RecordingError, match="only this run"):
        Latency.load(path)
    whole = latency.to_bytes()
    array = io.BytesIO()
    np.save(array, np.zeros(3))
    # Empty, one array, and bytes that no deflate stream has.
    for content in (b"", array.getvalue(), whole[:60] + b"\x55" * 30 + whole[90:]):
        path.write_bytes(content)
        with pytest.raises(RecordingError, match="only this run"):
            Latency.load(path)
    with pytest.raises(RecordingError, match="No such file"):
        Latency.load(tmp_path / "none.npz")


@pytest.mark.parametrize("first", ["render_quality", "env", "condition", "compiled"])
def test_a_table_of_before_its_newest_columns_is_read_as_what_it_was(
    tmp_path: Path, first: str
) -> None:
    path = write_table(tmp_path, [ROW])
    table = pq.read_table(path)
    later = table.column_names[table.column_names.index(first) :]
    pq.write_table(table.drop_columns(later), path)
    assert read_table(tmp_path) == [ROW]
