"""All features of all sites as numpy columns: values, edits, wishes, search and order. No Qt."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from vla_sae_ros.panel.values import Activations, CatalogueView, FeatureName, Site, SteeringView

IntArray = npt.NDArray[np.int64]


class SortKey(IntEnum):
    """What rows can be sorted by."""

    SITE = 0
    FEATURE = 1
    LABEL = 2
    ACTIVATION = 3


@dataclass(frozen=True)
class Bar:
    """Activation in observed maxima (SAE units where that is unknown)."""

    natural: float
    applied: float
    edited: bool


@dataclass(frozen=True)
class Slider:
    """What a slider shows, in observed maxima; NaN = there is none."""

    commanded: float
    applied: float
    natural: float
    enabled: bool
    pending: bool
    """Asked for, and not yet confirmed by the policy."""


class FeatureColumns:
    """One row per feature of a catalogue; a row keeps its number for the catalogue's life."""

    def __init__(self, catalogue: CatalogueView) -> None:
        """Start with zero activations and no edits."""
        self.catalogue = catalogue
        self.size = len(catalogue.feature)
        self.unlisted = 0
        """Active features of the newest message that the catalogue does not list."""
        self.natural, self.applied = np.zeros(self.size), np.zeros(self.size)
        self.unit = np.where(catalogue.observed_max > 0, catalogue.observed_max, 1.0)
        self.owners: dict[int, str] = {}
        self._commanded, self._reached = np.full(self.size, np.nan), np.full(self.size, np.nan)
        self._wishes: dict[int, float] = {}
        self._lookup = {site.name: self._lookup_of(number, site)
                        for number, site in enumerate(catalogue.sites)}
        self._rows = {site.name: np.flatnonzero(catalogue.site_index == number)
                      for number, site in enumerate(catalogue.sites)}
        self._texts = [
            f"{catalogue.sites[site].name} #{feature} {label} {kind}".casefold()
            for site, feature, label, kind in zip(
                catalogue.site_index.tolist(), catalogue.feature.tolist(), catalogue.labels,
                catalogue.classes, strict=True)
        ]

    def set_activations(self, message: Activations) -> None:
        """Take one inference of one site; features it does not list are zero."""
        lookup = self._lookup.get(message.site)
        if lookup is None:
            self.unlisted = len(message.index)
            return
        inside = message.index < len(lookup)
        rows = lookup[message.index[inside]]
        known = rows >= 0
        self.unlisted = int(len(message.index) - known.sum())
        for column, values in ((self.natural, message.natural), (self.applied, message.applied)):
            column[self._rows[message.site]] = 0.0
            column[rows[known]] = values[inside][known]

    def set_steering(self, view: SteeringView) -> None:
        """Take the policy's word on every edit; wishes that it confirms are fulfilled."""
        self._commanded[:] = np.nan
        self._reached[:] = np.nan
        self.owners.clear()
        for edit in view.edits:
            row = self.row_of((edit.site, edit.feature))
            if row is None:
                continue
            self._commanded[row], self._reached[row] = edit.commanded, edit.applied
            self.owners[row] = f"{edit.owner}, {edit.phase}"
            wish = self._wishes.get(row)
            if wish is not None and np.isclose(edit.commanded / self.unit[row], wish, atol=1e-3):
                del self._wishes[row]

    def wish(self, row: int, value: float) -> None:
        """Show `value` (observed maxima) as asked for until the policy confirms it."""
        self._wishes[row] = value

    def drop_wish(self, row: int) -> None:
        """Forget what was asked for one feature."""
        self._wishes.pop(row, None)

    def forget_wishes(self) -> None:
        """Show what the policy says, nothing else."""
        self._wishes.clear()

    def name_of(self, row: int) -> FeatureName:
        """Return (site, feature)."""
        return self._site(row).name, int(self.catalogue.feature[row])

    def row_of(self, name: FeatureName) -> int | None:
        """Return the row of a feature, None when it is not in the catalogue."""
        lookup = self._lookup.get(name[0])
        if lookup is None or name[1] >= len(lookup) or lookup[name[1]] < 0:
            return None
        return int(lookup[name[1]])

    def can_steer(self, row: int) -> bool:
        """Say whether the feature takes edits: its site can steer and its scale is known."""
        return not self.why_not(row)

    def why_not(self, row: int) -> str:
        """Return why a feature takes no edits; empty when it does."""
        if not self._site(row).can_steer:
            return "its site does not take edits"
        return "" if self.catalogue.observed_max[row] > 0 else (
            "its observed maximum is unknown or zero")

    def bar(self, row: int) -> Bar:
        """Return the activation of a row."""
        natural, applied = self.natural[row], self.applied[row]
        return Bar(float(natural / self.unit[row]), float(applied / self.unit[row]),
                   bool(natural != applied))

    def slider(self, row: int) -> Slider:
        """Return the slider of a row."""
        unit, wish = self.unit[row], self._wishes.get(row)
        return Slider(
            commanded=float(self._commanded[row] / unit) if wish is None else wish,
            applied=float(self._reached[row] / unit), natural=float(self.natural[row] / unit),
            enabled=self.can_steer(row), pending=wish is not None)

    def ordered(self, key: SortKey, descending: bool, search: str) -> IntArray:
        """Return the rows that hold every word of `search`: edited ones first, then by `key`."""
        words = search.casefold().split()
        rows: IntArray = np.arange(self.size)
        if words:
            rows = np.array([row for row, text in enumerate(self._texts)
                             if all(word in text for word in words)], np.int64)
        values = self._values(key, rows)
        rows = rows[np.argsort(-values if descending else values, kind="stable")]
        edited = ~np.isnan(self._commanded[rows]) | np.isin(rows, list(self._wishes))
        return np.concatenate([rows[edited], rows[~edited]])

    def _values(self, key: SortKey, rows: IntArray) -> npt.NDArray[np.float64]:
        if key is SortKey.SITE:
            return self.catalogue.site_index[rows].astype(float)
        if key is SortKey.FEATURE:
            return self.catalogue.feature[rows].astype(float)
        if key is SortKey.LABEL:
            labels = np.array([self.catalogue.labels[row].casefold() for row in rows], str)
            return np.unique(labels, return_inverse=True)[1].astype(float)
        return self.applied[rows] / self.unit[rows]

    def _site(self, row: int) -> Site:
        return self.catalogue.sites[self.catalogue.site_index[row]]

    def _lookup_of(self, number: int, site: Site) -> IntArray:
        """Return feature -> row for one site, -1 for a feature that is not listed."""
        rows = np.flatnonzero(self.catalogue.site_index == number)
        features = self.catalogue.feature[rows]
        largest = int(features.max()) + 1 if len(rows) else 0
        lookup = np.full(max(site.dictionary_size, largest), -1, np.int64)
        lookup[features] = rows
        return lookup
