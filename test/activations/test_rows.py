"""Rows over shards are those of the shards put together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file

from vla_sae_ros.activations.rows import ShardedRows, map_tensor


@given(st.lists(st.integers(0, 5), max_size=5), st.data())
def test_any_rows_are_those_of_the_shards_put_together(
    lengths: list[int], data: st.DataObject
) -> None:
    whole = np.arange(sum(lengths) * 3, dtype=np.float32).reshape(-1, 3)
    rows = ShardedRows(np.split(whole, np.cumsum(lengths)[:-1]) if lengths else [], 3)
    assert rows.shape == whole.shape
    wanted = sorted(
        data.draw(st.lists(st.integers(0, max(0, len(whole) - 1)))) if len(whole) else []
    )
    np.testing.assert_array_equal(rows[np.array(wanted, np.int64)], whole[wanted])
    start, stop = data.draw(st.integers(-4, 20)), data.draw(st.integers(-4, 20))
    np.testing.assert_array_equal(rows[start:stop], whole[start:stop])


def test_a_row_outside_is_refused() -> None:
    rows = ShardedRows([np.zeros((2, 3), np.float32)], 3)
    with pytest.raises(IndexError, match="of 2"):
        rows[np.array([1, 2])]


def test_a_mapped_tensor_is_the_saved_one(tmp_path: Path) -> None:
    saved = np.random.default_rng(0).standard_normal((7, 5)).astype(np.float32)
    save_file({"other": np.zeros(3), "wanted": saved}, tmp_path / "file.safetensors")
    np.testing.assert_array_equal(map_tensor(tmp_path / "file.safetensors", "wanted"), saved)
