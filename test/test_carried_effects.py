"""The table of what features do in each kind of scene, on rollouts of which the truth is known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
from planted_study import Plan, Planted, write_planted_study
from tool_module import tool_module

from vla_sae_ros.core.errors import RecordingError
from vla_sae_ros.study.experiment.records.table import read_table, write_table

FEATURES = {80: Planted("hand goes left", aside=0.05), 81: Planted("hand goes right", aside=0.05)}


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    return tool_module("carried_effects")


def test_every_scene_and_all_together_have_a_line_for_each_feature(
    tool: ModuleType, tmp_path: Path
) -> None:
    rows = write_planted_study(tmp_path, Plan(FEATURES, (1.0,), tasks=2, inits=3))
    elsewhere = [replace(row, moved_m=0.04) if row.task == "1" else row for row in rows]
    assert len({row.moved_m for row in elsewhere}) == 2
    write_table(tmp_path, elsewhere)
    suite = rows[0].suite
    lines = [dict(zip(tool.COLUMNS, one, strict=True)) for one in tool.table(tmp_path)]
    moved = f"{suite}, moved by up to 0.04 m"
    assert [one["scene"] for one in lines] == [suite] * 2 + [moved] * 2 + [tool.ALL] * 2
    named, opposite = lines[-2:]
    assert named["feature"] == "80 hand goes left" and named["effect"] == "left"
    assert 35 < int(named["mean [mm]"]) <= 50, "less the steps before the edit acts"
    assert named["pairs with the named sign"] == "6 of 6"
    assert opposite["pairs with the named sign"] == "0 of 6"
    assert lines[0]["pairs with the named sign"] == "3 of 3"
    plain = [row for row in read_table(tmp_path) if row.arm == "none" and row.protocol == "P2"]
    assert named["solved plain"] == f"{sum(row.success for row in plain)} of 6"


def test_a_study_without_such_names_is_refused(tool: ModuleType, tmp_path: Path) -> None:
    write_planted_study(tmp_path, Plan({80: Planted("late in episode")}, (1.0,), tasks=1, inits=2))
    with pytest.raises(RecordingError, match="no feature whose name predicts"):
        tool.table(tmp_path)
