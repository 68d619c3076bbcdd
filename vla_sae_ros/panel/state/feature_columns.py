"""All features of all sites as numpy columns: values, edits, wishes, search and order. No Qt."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import IntEnum
from functools import cached_property

import numpy as np
import numpy.typing as npt

from vla_sae_ros.core.steering import Edit, Mode, Phase, StandingEdit, StateView, Unit
from vla_sae_ros.panel.state.slider import Activation, Slider, make_slider, marks
from vla_sae_ros.panel.state.values import (
    Activations,
    CatalogueView,
    FeatureName,
    Site,
)

IntArray = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

FIRST_EDIT = Edit(feature=0, mode=Mode.CLAMP, unit=Unit.OBSERVED_MAX, ramp=0.3)
"""What a drag begins until the operator chooses otherwise."""


class SortKey(IntEnum):
    """What rows can be sorted by."""

    SITE = 0
    FEATURE = 1
    LABEL = 2
    CLASS = 3
    COVERAGE = 4
    ACTIVATION = 5
    CHANGE = 6


@dataclass(frozen=True)
class Bar:
    """Activation in observed maxima (SAE units where that is unknown)."""

    natural: float
    applied: float
    edited: bool


class FeatureColumns:
    """One row per feature of every dictionary; rows keep their numbers for the catalogue's life.

    A wish is what the operator asked for and the policy has not confirmed: an edit, or None for
    a release.
    """

    def __init__(self, catalogue: CatalogueView) -> None:
        """Start with zero activations and no edits."""
        self.template = FIRST_EDIT
        self.size = catalogue.size
        self.beyond = 0
        """Active features of the newest message that the dictionary cannot hold."""
        self.natural, self.applied = np.zeros(self.size), np.zeros(self.size)
        self.edits: dict[int, StandingEdit] = {}
        self._wishes: dict[int, Edit | None] = {}
        sizes = [site.dictionary_size for site in catalogue.sites]
        starts = np.cumsum([0, *sizes]).tolist()
        self._first = {
            site.name: start for site, start in zip(catalogue.sites, starts, strict=False)
        }
        self._sizes = {site.name: site.dictionary_size for site in catalogue.sites}
        self.site_index: npt.NDArray[np.int32] = np.repeat(
            np.arange(len(sizes), dtype=np.int32), sizes
        )
        self.feature: IntArray = np.arange(self.size) - np.repeat(
            np.array(starts[:-1], np.int64), sizes
        )
        self.describe(catalogue)

    def describe(self, catalogue: CatalogueView) -> None:
        """Take other words about the same features."""
        self.catalogue = catalogue
        self.unit = np.where(catalogue.observed_max > 0, catalogue.observed_max, 1.0).astype(float)
        for name in ("texts", "_label_rank", "_class_rank"):
            self.__dict__.pop(name, None)

    def set_activations(self, message: Activations) -> IntArray:
        """Take one inference of one site, unlisted features are zero; return the listed rows."""
        first, size = self._first.get(message.site), self._sizes.get(message.site, 0)
        inside = message.index < size
        self.beyond = int(len(message.index) - inside.sum())
        if first is None:
            return np.zeros(0, np.int64)
        rows: IntArray = message.index[inside].astype(np.int64) + first
        for column, values in ((self.natural, message.natural), (self.applied, message.applied)):
            column[first : first + size] = 0.0
            column[rows] = values[inside]
        return rows

    def set_steering(self, view: StateView) -> None:
        """Take the policy's word on every edit; wishes that it confirms are fulfilled."""
        self.edits = {}
        for edit in view.edits:
            row = self.row_of(edit.key)
            if row is None or (row in self.edits and edit.phase is Phase.RELEASING):
                continue
            self.edits[row] = edit
        self._wishes = {
            row: wish for row, wish in self._wishes.items() if not self._fulfilled(row, wish)
        }

    def wish(self, row: int, edit: Edit | None) -> None:
        """Show an edit (None: no edit) as asked for until the policy confirms it."""
        self._wishes[row] = edit

    def forget_wishes(self) -> None:
        """Show what the policy says, nothing else."""
        self._wishes.clear()

    def name_of(self, row: int) -> FeatureName:
        """Return (site, feature)."""
        return self.site(row).name, int(self.feature[row])

    def row_of(self, name: FeatureName) -> int | None:
        """Return the row of a feature, None when no dictionary holds it."""
        if not 0 <= name[1] < self._sizes.get(name[0], 0):
            return None
        return int(self._first[name[0]] + name[1])

    def site_number(self, name: str) -> int | None:
        """Return the number of a site in `site_index`, None when it has no row."""
        return int(self.site_index[self._first[name]]) if self._sizes.get(name) else None

    def site(self, row: int) -> Site:
        """Return the site of a row."""
        return self.catalogue.sites[self.site_index[row]]

    def edit_of(self, row: int) -> Edit | None:
        """Return the edit that is asked for or stands, None when neither is."""
        if row in self._wishes:
            return self._wishes[row]
        standing = self.edits.get(row)
        return None if standing is None or standing.phase is Phase.RELEASING else standing.edit

    def edit_to_begin(self, row: int) -> Edit:
        """Return the edit of a row, or what a drag of its slider begins."""
        site, feature = self.name_of(row)
        return self.edit_of(row) or replace(self.template, site=site, feature=feature)

    def why_not(self, row: int) -> str:
        """Return why a feature takes no such edit; empty when it does."""
        if not self.site(row).can_steer:
            return "its site does not take edits"
        edit = self.edit_of(row) or self.template
        measured = edit.mode in (Mode.CLAMP, Mode.ADD) and edit.unit is Unit.OBSERVED_MAX
        if measured and self.catalogue.observed_max[row] <= 0:
            return "it never fired in the SAE's data: choose SAE units or x norm"
        return ""

    def has_edit(self, row: int) -> bool:
        """Say whether an edit stands, leaves or is asked for."""
        return row in self.edits or row in self._wishes

    def takes_numbers(self, row: int) -> bool:
        """Say whether the slider of a row can be dragged and typed."""
        edit = self.edit_of(row) or self.template
        return edit.mode is not Mode.PROJECT_OUT and not self.why_not(row)

    def bar(self, row: int) -> Bar:
        """Return the activation of a row."""
        natural, applied = self.natural[row], self.applied[row]
        return Bar(
            float(natural / self.unit[row]),
            float(applied / self.unit[row]),
            bool(natural != applied),
        )

    def slider(self, row: int) -> Slider:
        """Return the slider of a row."""
        standing, wished = self.edits.get(row), self.edit_of(row)
        leaving = wished is None and standing is not None
        edit = standing.edit if standing is not None and leaving else wished or self.template
        activation = Activation(
            float(self.natural[row]),
            float(self.applied[row]),
            float(self.catalogue.observed_max[row]),
        )
        return make_slider(
            edit,
            activation,
            wished is not None or leaving,
            self.per_unit(row, edit),
            not self.why_not(row),
            row in self._wishes,
            leaving,
        )

    def natural_value(self, row: int, edit: Edit) -> float:
        """Return the value at which an edit changes nothing now; NaN where it is not known."""
        activation = Activation(
            float(self.natural[row]),
            float(self.applied[row]),
            float(self.catalogue.observed_max[row]),
        )
        return marks(edit.mode, activation, self.per_unit(row, edit))[1]

    def per_unit(self, row: int, edit: Edit) -> float:
        """Return SAE units per unit of the edit; NaN where only the policy knows it."""
        if edit.mode is Mode.SCALE or edit.unit is Unit.NATURAL:
            return 1.0
        if edit.unit is Unit.OBSERVED_MAX:
            return float(self.unit[row])
        standing = self.edits.get(row)
        known = standing is not None and standing.edit.unit is edit.unit and standing.edit.value
        return standing.commanded / standing.edit.value if standing and known else math.nan

    def edited(self) -> Mask:
        """Return (R,) which rows have an edit or a wish."""
        mask: Mask = np.zeros(self.size, np.bool_)
        mask[np.array([*self.edits, *self._wishes], np.int64)] = True
        return mask

    def alive(self) -> Mask:
        """Return (R,) which features fired in the SAE's data, or fire now."""
        return (self.catalogue.observed_max > 0) | (self.natural != 0)

    def matching(self, search: str) -> Mask:
        """Return (R,) which rows hold every word; #80 means feature 80 exactly."""
        mask: Mask = np.ones(self.size, np.bool_)
        for word in search.casefold().split():
            if word.startswith("#") and word[1:].isdigit():
                mask &= self.feature == int(word[1:])
            else:
                mask &= np.fromiter((word in text for text in self.texts), np.bool_, self.size)
        return mask

    def values(self, key: SortKey) -> npt.NDArray[np.float64]:
        """Return (R,) what rows are sorted by; CHANGE is the history's."""
        if key is SortKey.SITE:
            return self.site_index.astype(float)
        if key is SortKey.FEATURE:
            return self.feature.astype(float)
        if key is SortKey.LABEL:
            return self._label_rank
        if key is SortKey.CLASS:
            return self._class_rank
        if key is SortKey.COVERAGE:
            return np.nan_to_num(self.catalogue.coverage.astype(float), nan=-1.0)
        return self.applied / self.unit

    @cached_property
    def texts(self) -> list[str]:
        """What the search looks into, per row."""
        catalogue, names = self.catalogue, [site.name for site in self.catalogue.sites]
        return [
            f"{names[site]} #{feature} {label} {kind}".casefold()
            for site, feature, label, kind in zip(
                self.site_index.tolist(),
                self.feature.tolist(),
                catalogue.names,
                catalogue.classes,
                strict=True,
            )
        ]

    @cached_property
    def _label_rank(self) -> npt.NDArray[np.float64]:
        return _rank(self.catalogue.names)

    @cached_property
    def _class_rank(self) -> npt.NDArray[np.float64]:
        return _rank(self.catalogue.classes)

    def _fulfilled(self, row: int, wish: Edit | None) -> bool:
        standing = self.edits.get(row)
        if wish is None or standing is None or standing.phase is Phase.RELEASING:
            return wish is None and (standing is None or standing.phase is Phase.RELEASING)
        same = (standing.edit.mode, standing.edit.unit) == (wish.mode, wish.unit)
        return same and math.isclose(standing.edit.value, wish.value, abs_tol=1e-3, rel_tol=1e-4)


def _rank(texts: tuple[str, ...]) -> npt.NDArray[np.float64]:
    """Return the alphabetical place of each text; empty ones come last."""
    places = {
        text: place
        for place, text in enumerate(sorted({text.casefold() for text in texts if text}))
    }
    return np.array([places.get(text.casefold(), len(places)) for text in texts], float)
