"""What decides the numbers of an inference is named, and a changed source changes its name."""

from __future__ import annotations

from pathlib import Path

import pytest

from vla_sae_ros.policy.checkpoints import versions


def test_libraries_processor_and_sources_are_named() -> None:
    found = versions.numeric_versions()
    assert {"cpu", "source", "torch", "numpy", "lerobot"} <= set(found)
    assert all(found.values())


def test_a_changed_source_has_another_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(versions, "_PACKAGE", tmp_path)
    for room in ("core", "sae", "policy", "panel"):
        (tmp_path / room).mkdir()
        (tmp_path / room / "a.py").write_text("x = 1\n")
    ids = []
    for changed in ("", "panel/a.py", "policy/a.py"):
        if changed:
            (tmp_path / changed).write_text("x = 2\n")
        versions.source_id.cache_clear()
        ids.append(versions.source_id())
    versions.source_id.cache_clear()
    assert ids[0] == ids[1] != ids[2] and len(ids[0]) == 16
