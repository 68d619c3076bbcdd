"""Files of stills, without a simulator."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np

from vla_sae_ros.study.demonstrations.still_files import (
    Stills,
    StillsInfo,
    read_stills,
    read_stills_index,
    write_stills,
)

INFO = StillsInfo(
    file="stills_libero_object_0_000007.npz",
    suite="libero_object",
    task_index=0,
    init_state=3,
    seed=7,
    targets=("butter_1",),
    instructions=("pick up the butter",),
    objects=("basket_1", "butter_1"),
    stills=2,
)


def test_stills_and_their_index_come_back_as_they_were_written(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    stills = Stills(
        pictures=random.integers(0, 256, (2, 2, 128, 128, 3), np.uint8),
        states=random.normal(size=(2, 8)).astype(np.float32),
        chunks=random.normal(size=(2, 1, 10, 7)).astype(np.float32),
        landmarks=random.normal(size=(2, 2, 3)).astype(np.float32),
        pixels=np.full((2, 2, 2, 2), np.nan, np.float32),
        chosen=np.zeros(2, np.int32),
        held=np.array([True, False]),
    )
    write_stills(tmp_path / "new", INFO, stills)
    assert read_stills_index(tmp_path / "new") == [INFO]
    again = read_stills(tmp_path / "new", INFO)
    for one in fields(Stills):
        np.testing.assert_array_equal(getattr(again, one.name), getattr(stills, one.name))
        assert getattr(again, one.name).dtype == getattr(stills, one.name).dtype
    assert {path.name for path in (tmp_path / "new").iterdir()} == {INFO.file, "stills.jsonl"}
