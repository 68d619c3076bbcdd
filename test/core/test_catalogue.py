"""The feature catalogue: what goes in comes out, what cannot be is refused."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vla_sae_ros.core.catalogue import CATALOGUE_FILE, FEATURE_CLASSES, Catalogue, FeatureEntry
from vla_sae_ros.core.errors import ConfigurationError

ENTRIES = st.builds(
    FeatureEntry,
    feature=st.integers(0, 10_000),
    label=st.text(max_size=10),
    description=st.text(max_size=10),
    feature_class=st.sampled_from(FEATURE_CLASSES),
    observed_max=st.floats(0, 1e6),
    coverage=st.one_of(st.just(math.nan), st.floats(0, 1)),
)


@given(entries=st.lists(ENTRIES, unique_by=lambda entry: entry.feature, max_size=5))
def test_a_saved_catalogue_loads_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, entries: list[FeatureEntry]
) -> None:
    path = tmp_path_factory.mktemp("catalogue") / CATALOGUE_FILE
    catalogue = Catalogue("backbone.1", entries)
    catalogue.save(path)
    loaded = Catalogue.load(path)
    assert loaded == catalogue
    assert [entry.feature for entry in loaded.entries] == sorted(entry.feature for entry in entries)
    assert [path.name] == [one.name for one in path.parent.iterdir()]


def test_an_unknown_feature_has_no_entry() -> None:
    catalogue = Catalogue("expert.0", [FeatureEntry(4, "gripper closed")])
    assert catalogue.get(5) is None
    entry = catalogue.get(4)
    assert entry is not None and entry.label == "gripper closed"


def test_two_entries_for_one_feature_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="two entries for feature 4"):
        Catalogue("expert.0", [FeatureEntry(4), FeatureEntry(4)])


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"feature": -1}, "Entry 1.*feature of feature -1"),
        ({"feature": True}, "feature of feature True"),
        ({"feature": 3, "label": 7}, "label of feature 3"),
        ({"feature": 3, "feature_class": "special"}, "special"),
        ({"feature": 3, "observed_max": -1.0}, "observed_max of feature 3"),
        ({"feature": 3, "coverage": 1.5}, "coverage of feature 3"),
        ({"feature": 3, "lable": "x"}, "lable"),
        ({"label": "x"}, "entry 1"),
        ("gripper", "gripper"),
    ],
)
def test_a_wrong_entry_is_named(tmp_path: Path, row: object, said: str) -> None:
    path = tmp_path / CATALOGUE_FILE
    path.write_text(
        json.dumps({"format": 1, "site": "expert.0", "features": [{"feature": 0}, row]})
    )
    with pytest.raises(ConfigurationError, match=said):
        Catalogue.load(path)


@pytest.mark.parametrize("text", ["", "[]", '{"format": 2}', '{"format": 1, "site": 3}'])
def test_a_file_that_is_no_catalogue_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / CATALOGUE_FILE
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=CATALOGUE_FILE):
        Catalogue.load(path)
    with pytest.raises(ConfigurationError, match="Cannot read"):
        Catalogue.load(tmp_path / "absent.json")
