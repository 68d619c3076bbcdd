"""What people write about features outlives builds, and gets into a bundle on demand."""

from __future__ import annotations

from pathlib import Path

import pytest

from vla_sae_ros.core.catalogue import Catalogue, FeatureEntry
from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.core.user_notes import notes_file, notes_folder, overlaid, write_note

BUNDLE = Catalogue(
    "expert.1",
    [FeatureEntry(3, "by evidence", observed_max=2.0, label_source="evidence"), FeatureEntry(4)],
)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    return tmp_path


def test_notes_are_laid_over_the_bundle_of_that_id_only(home: Path) -> None:
    write_note("expert.1", "abc", 3, "hand opens", "seen twice")
    write_note("expert.1", "abc", 9, "", "only a note")
    assert notes_folder().is_relative_to(home)
    found = overlaid(BUNDLE, "abc")
    first, second = found.get(3), found.get(9)
    assert first is not None and second is not None
    assert (first.label, first.label_source, first.notes) == ("hand opens", "person", "seen twice")
    assert first.observed_max == 2.0 and (second.label, second.notes) == ("", "only a note")
    assert overlaid(BUNDLE, "other") == BUNDLE


def test_an_empty_label_leaves_the_one_that_was_given() -> None:
    write_note("expert.1", "abc", 3, "hand opens", "")
    write_note("expert.1", "abc", 3, "", "more")
    entry = overlaid(BUNDLE, "abc").get(3)
    assert entry is not None and (entry.label, entry.notes) == ("hand opens", "more")


def test_a_file_that_cannot_be_read_is_left_as_it_is() -> None:
    notes_folder().mkdir(parents=True)
    notes_file("abc").write_text("not json")
    with pytest.raises(ConfigurationError, match="not JSON"):
        write_note("expert.1", "abc", 3, "x", "")
    with pytest.raises(ConfigurationError, match="not JSON"):
        overlaid(BUNDLE, "abc")
    assert notes_file("abc").read_text() == "not json"
