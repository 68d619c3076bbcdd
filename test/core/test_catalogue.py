"""The feature catalogue: what goes in comes out, what cannot be is refused."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vla_sae_ros.core.catalogue import (
    CATALOGUE_FILE,
    FEATURE_CLASSES,
    TEST_OUTCOMES,
    Catalogue,
    FeatureEntry,
    FeatureTest,
)
from vla_sae_ros.core.errors import ConfigurationError

SHARES = st.one_of(st.just(math.nan), st.floats(0, 1))
ENTRIES = st.builds(
    FeatureEntry,
    feature=st.integers(0, 10_000),
    label=st.text(max_size=10),
    description=st.text(max_size=10),
    feature_class=st.sampled_from(FEATURE_CLASSES),
    observed_max=st.floats(0, 1e6),
    coverage=SHARES,
    density=SHARES,
    onset_count=st.one_of(st.just(math.nan), st.floats(0, 1e3)),
    relative_run_length=SHARES,
    general_probability=SHARES,
    notes=st.text(max_size=10),
    tests=st.lists(
        st.builds(
            FeatureTest,
            study=st.text(max_size=5),
            protocol=st.sampled_from(("P1", "P2")),
            label=st.text(max_size=5),
            outcome=st.sampled_from(TEST_OUTCOMES),
            words=st.text(max_size=10),
        ),
        max_size=2,
    ).map(tuple),
)


@settings(deadline=None)  # it waits for the disk
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


def test_a_file_from_before_a_field_existed_still_loads(tmp_path: Path) -> None:
    path = tmp_path / CATALOGUE_FILE
    row = {"feature": 2, "label": "lift", "observed_max": 1.5, "coverage": None}
    path.write_text(json.dumps({"format": 1, "site": "expert.0", "features": [row]}))
    (entry,) = Catalogue.load(path).entries
    assert (entry.label, entry.label_source, entry.notes) == ("lift", "", "")
    unknown = (entry.coverage, entry.density, entry.onset_count, entry.general_probability)
    assert all(map(math.isnan, unknown))


def test_a_persons_label_is_never_replaced_by_a_tools() -> None:
    found = FeatureEntry(4).named_by_tool("gripper closed", "fires while it holds")
    assert (found.label, found.label_source) == ("gripper closed", "evidence")
    named = found.named_by_person("holding the can", "only cans")
    assert (named.label, named.label_source) == ("holding the can", "person")
    again = named.named_by_tool("arm up", "fires late")
    assert (again.label, again.label_source) == ("holding the can", "person")
    assert (again.description, again.notes) == ("fires late", "only cans")
    assert named.named_by_person("", "").label == "holding the can"


def test_an_entry_takes_its_features_place_in_the_catalogue() -> None:
    catalogue = Catalogue("expert.0", [FeatureEntry(4, "old"), FeatureEntry(2)])
    changed = catalogue.with_entry(FeatureEntry(4, "new")).with_entry(FeatureEntry(3))
    assert [(e.feature, e.label) for e in changed.entries] == [(2, ""), (3, ""), (4, "new")]
    old = catalogue.get(4)
    assert old is not None and old.label == "old"


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
        ({"feature": 3, "density": -0.1}, "density of feature 3"),
        ({"feature": 3, "onset_count": -1}, "onset_count of feature 3.*0 or more"),
        ({"feature": 3, "onset_count": math.inf}, "onset_count of feature 3"),
        ({"feature": 3, "general_probability": "high"}, "general_probability of feature 3"),
        ({"feature": 3, "label": "x", "label_source": "rumour"}, "rumour"),
        ({"feature": 3, "label_source": "person"}, "empty without a label"),
        ({"feature": 3, "notes": 5}, "notes of feature 3"),
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


def test_a_study_replaces_its_own_earlier_test_and_no_others() -> None:
    first = FeatureTest("demo", "P2", "hand up", "not shown", "n = 5")
    open_loop, other = replace(first, protocol="P1"), replace(first, study="dose")
    again = replace(first, outcome="as named", words="n = 60")
    entry = FeatureEntry(3)
    for test in (first, open_loop, other, again):
        entry = entry.with_test(test)
    assert entry.tests == (open_loop, other, again)


@pytest.mark.parametrize(
    ("label", "source", "name"),
    [
        ("", "", "hand up"),
        ("far from target", "evidence", "hand up"),
        ("my lift", "person", "my lift"),
        ("imported", "", "imported"),
    ],
)
def test_a_confirmed_name_stands_before_one_by_evidence_only(
    label: str, source: str, name: str
) -> None:
    confirmed = FeatureTest("demo", "P2", "hand up", "as named", "n = 10")
    silent = replace(confirmed, study="dose", outcome="not shown")
    entry = FeatureEntry(3, label=label, label_source=source)
    assert entry.with_test(silent).name == label
    assert entry.with_test(confirmed).with_test(silent).name == name


@pytest.mark.parametrize(
    ("tests", "named"),
    [
        ("causal", "tests"),
        ([{"outcome": "causal"}], "all of"),
        ([{**asdict(FeatureTest("s", "P2", "", "causal", "")), "outcome": "proven"}], "proven"),
        ([{**asdict(FeatureTest("s", "P2", "", "causal", "")), "words": 3}], "words"),
    ],
)
def test_a_damaged_test_is_refused_with_its_entry(
    tmp_path: Path, tests: object, named: str
) -> None:
    path = tmp_path / CATALOGUE_FILE
    row = {"feature": 2, "tests": tests}
    path.write_text(json.dumps({"format": 1, "site": "expert.0", "features": [row]}))
    with pytest.raises(ConfigurationError, match=named):
        Catalogue.load(path)
