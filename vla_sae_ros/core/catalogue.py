"""What is known about the features of one site: names, evidence, ranges."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.core.json_document import parse_json
from vla_sae_ros.core.shapes import PerFeature
from vla_sae_ros.core.whole_file import write_whole

CATALOGUE_FILE = "catalogue.json"
FEATURE_CLASSES = ("", "general", "memorized", "dead")
LABEL_SOURCES = ("", "person", "evidence")
AS_NAMED = "as named"
ACTING = (AS_NAMED, "opposite", "causal")
TEST_OUTCOMES = (*ACTING, "not shown", "cannot tell")
_FORMAT = 1
_SHARES = ("coverage", "density", "relative_run_length", "general_probability")
_MAY_BE_UNKNOWN = (*_SHARES, "onset_count")  # NaN here, null in the file


@dataclass(frozen=True)
class FeatureTest:
    """What a steering study found out about a feature: more than a correlation.

    study: the study's name. protocol: "P2" in closed loop, "P1" in open loop.
    label: the feature's name when it was tested; it may have been renamed since.
    outcome: one of TEST_OUTCOMES. "causal": it acts, but its name predicts nothing that was
    measured, or not that. "cannot tell": too few pairs, or no random row to compare with.
    words: dose, effect, bar of the random rows, p, success plain and steered, in one line.
    """

    study: str
    protocol: str
    label: str
    outcome: str
    words: str

    def __post_init__(self) -> None:
        """Raise ConfigurationError naming the first field that cannot be."""
        for name, value in asdict(self).items():
            if not isinstance(value, str):
                raise ConfigurationError(complaint(f"{name} of a feature's test", value, "text"))
        if self.outcome not in TEST_OUTCOMES:
            raise ConfigurationError(
                complaint("outcome of a feature's test", self.outcome, TEST_OUTCOMES)
            )


def telling_test(tests: Sequence[Any]) -> Any | None:
    """Return the test that a feature's mark stands for; None without tests.

    The latest in which it acts, or else the latest: another dose or a shorter edit that does
    nothing takes nothing from a dose that does. `tests` are `FeatureTest`s or messages of them.
    """
    acting = [test for test in tests if test.outcome in ACTING]
    return next(reversed(acting or tests), None)


def confirmed_name(tests: Sequence[Any]) -> str:
    """Return the name that a study confirmed, or empty; see `telling_test`."""
    test = telling_test(tests)
    return test.label if test and test.outcome == AS_NAMED else ""


def shown_name(label: str, source: str, confirmed: str) -> str:
    """Return the label, or the confirmed name before one by evidence.

    Evidence says when a feature fires, a confirmed name what it does.
    """
    return confirmed if confirmed and (not label or source == "evidence") else label


def said_test(test: Any) -> str:
    """Return a `FeatureTest`, or a message of it, in one line, without its study."""
    name = f" “{test.label}”" if test.label else ""
    return f"{test.outcome}{name}: {test.words}"


@dataclass(frozen=True)
class FeatureEntry:
    """What is known about one feature of an SAE.

    label: short name, empty when nobody named it. description: one sentence of evidence or empty.
    feature_class: one of FEATURE_CLASSES, empty when not classified.
    observed_max: largest code in the bundle's data, in the SAE's units; 0 for a dead feature.
    coverage: share of episodes in which it fires, 0 to 1; NaN when unknown.
    density: share of inferences in which it fires, 0 to 1; NaN when unknown.
    onset_count: mean number of onsets per episode; NaN when unknown.
    relative_run_length: mean run length over the episode's length, 0 to 1; NaN when unknown.
    general_probability: of the generality classifier, 0 to 1; NaN when not classified.
    label_source: who gave the label, one of LABEL_SOURCES; empty when there is none or nobody said.
    notes: what people wrote about it.
    tests: what steering studies found, at most one per study and protocol.
    """

    feature: int
    label: str = ""
    description: str = ""
    feature_class: str = ""
    observed_max: float = 0.0
    coverage: float = math.nan
    density: float = math.nan
    onset_count: float = math.nan
    relative_run_length: float = math.nan
    general_probability: float = math.nan
    label_source: str = ""
    notes: str = ""
    tests: tuple[FeatureTest, ...] = ()

    def __post_init__(self) -> None:
        """Raise ConfigurationError naming the first field that cannot be."""
        _require(
            self, "feature", type(self.feature) is int and self.feature >= 0, "an integer from 0 on"
        )
        for name in ("label", "description", "notes"):
            _require(self, name, isinstance(getattr(self, name), str), "text")
        _require(self, "feature_class", self.feature_class in FEATURE_CLASSES, FEATURE_CLASSES)
        largest = self.observed_max
        fine = _is_number(largest) and math.isfinite(largest) and largest >= 0
        _require(self, "observed_max", fine, "a finite number from 0 on")
        for name in _MAY_BE_UNKNOWN:
            top = 1.0 if name in _SHARES else sys.float_info.max
            _require(self, name, _is_within(getattr(self, name), top), _unknown_or(name))
        source = self.label_source
        fine = source in LABEL_SOURCES and (bool(self.label) or not source)
        _require(self, "label_source", fine, f"{LABEL_SOURCES}, empty without a label")

    @property
    def name(self) -> str:
        """What to call it; empty without a name. See `shown_name`."""
        return shown_name(self.label, self.label_source, confirmed_name(self.tests))

    def named_by_person(self, label: str, notes: str) -> FeatureEntry:
        """Return the entry with a person's label, or its old one if `label` is empty, and notes."""
        if not label:
            return replace(self, notes=notes)
        return replace(self, label=label, label_source="person", notes=notes)

    def named_by_tool(self, label: str, description: str) -> FeatureEntry:
        """Return the entry with a label found by evidence; a person's label stays as it is."""
        if self.label_source == "person":
            return replace(self, description=description)
        source = "evidence" if label else ""
        return replace(self, label=label, description=description, label_source=source)

    def with_test(self, test: FeatureTest) -> FeatureEntry:
        """Return the entry with a test in the place of the same study's earlier one."""
        key = test.study, test.protocol
        others = [one for one in self.tests if (one.study, one.protocol) != key]
        return replace(self, tests=(*others, test))


class Catalogue:
    """The entries of one site in the order of their feature; a feature without one is unknown."""

    def __init__(self, site: str, entries: Iterable[FeatureEntry]) -> None:
        """Raise ConfigurationError when a feature has two entries."""
        self.site = site
        self._by_feature: dict[int, FeatureEntry] = {}
        for entry in entries:
            if entry.feature in self._by_feature:
                raise ConfigurationError(
                    f"The catalogue of {site} has two entries for feature {entry.feature}. "
                    "Keep one of them."
                )
            self._by_feature[entry.feature] = entry
        self.entries = tuple(self._by_feature[f] for f in sorted(self._by_feature))

    def get(self, feature: int) -> FeatureEntry | None:
        """Return the entry of `feature`, or None when nothing is known about it."""
        return self._by_feature.get(feature)

    def observed_max(self, dictionary_size: int) -> PerFeature:
        """Return (F,) float32: the largest code seen per feature; 0 where dead or unknown."""
        largest = np.zeros(dictionary_size, np.float32)
        for entry in self.entries:
            largest[entry.feature] = entry.observed_max
        return largest

    def with_entry(self, entry: FeatureEntry) -> Catalogue:
        """Return a catalogue in which this entry stands in the place of its feature's old one."""
        return Catalogue(self.site, (self._by_feature | {entry.feature: entry}).values())

    def __len__(self) -> int:
        return len(self.entries)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Catalogue):
            return NotImplemented
        return self.to_json() == other.to_json()

    __hash__ = None  # type: ignore[assignment]

    def to_json(self) -> str:
        """Return the text of catalogue.json; what is unknown is null."""
        rows = [asdict(entry) for entry in self.entries]
        for row in rows:
            row |= {name: None for name in _MAY_BE_UNKNOWN if math.isnan(row[name])}
            if not row["tests"]:
                del row["tests"]
        lines = ",\n".join(json.dumps(row, ensure_ascii=False, allow_nan=False) for row in rows)
        head = json.dumps({"format": _FORMAT, "site": self.site})[:-1]
        return f'{head}, "features": [\n{lines}\n]}}\n'

    def save(self, path: Path) -> None:
        """Write catalogue.json to `path`, replacing it whole."""
        write_whole(path, self.to_json().encode())

    @classmethod
    def load(cls, path: Path) -> Catalogue:
        """Read catalogue.json. Raises ConfigurationError saying which entry is wrong and how."""
        try:
            content = parse_json(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise ConfigurationError(f"Cannot read the catalogue {path}: {error}.") from error
        except ValueError as error:
            raise ConfigurationError(f"The catalogue {path} is not JSON: {error}.") from error
        if not isinstance(content, dict) or content.get("format") != _FORMAT:
            got = content.get("format") if isinstance(content, dict) else content
            raise ConfigurationError(complaint(f"format of the catalogue {path}", got, _FORMAT))
        site, rows = content.get("site"), content.get("features")
        if not isinstance(site, str) or not isinstance(rows, list):
            raise ConfigurationError(f"The catalogue {path} needs text `site` and list `features`.")
        return cls(site, (_entry(row, number, path) for number, row in enumerate(rows)))


def _entry(row: Any, number: int, path: Path) -> FeatureEntry:
    known = {field.name for field in fields(FeatureEntry)}
    if not isinstance(row, dict) or "feature" not in row or not set(row) <= known:
        got = sorted(row) if isinstance(row, dict) else row
        raise ConfigurationError(
            complaint(f"entry {number} of {path}", got, f"`feature` and any of {sorted(known)}")
        )
    row = row | {name: math.nan for name in _MAY_BE_UNKNOWN if row.get(name, 0) is None}
    try:
        return FeatureEntry(**{**row, "tests": _tests(row.get("tests", []))})
    except ConfigurationError as error:
        raise ConfigurationError(f"Entry {number} of {path}: {error}") from error


def _tests(rows: Any) -> tuple[FeatureTest, ...]:
    known = {field.name for field in fields(FeatureTest)}
    if not isinstance(rows, list):
        raise ConfigurationError(complaint("`tests`", rows, "a list"))
    for row in rows:
        if not isinstance(row, dict) or set(row) != known:
            raise ConfigurationError(complaint("a feature's test", row, f"all of {sorted(known)}"))
    return tuple(FeatureTest(**row) for row in rows)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_within(value: float, top: float) -> bool:
    return _is_number(value) and (math.isnan(value) or 0 <= value <= top)


def _unknown_or(name: str) -> str:
    return ("0 to 1" if name in _SHARES else "0 or more") + ", or NaN when unknown"


def _require(entry: FeatureEntry, name: str, fine: bool, allowed: object) -> None:
    if not fine:
        what = f"{name} of feature {entry.feature}"
        raise ConfigurationError(complaint(what, getattr(entry, name), allowed))
