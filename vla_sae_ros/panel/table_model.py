"""All features of all sites as one Qt table over numpy columns, with an order of its own."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt
from PyQt5.QtCore import QAbstractTableModel, QModelIndex, QObject, Qt

from vla_sae_ros.panel.guard import guarded
from vla_sae_ros.panel.values import Activations, CatalogueView, FeatureName, SteeringView

BarRole = Qt.UserRole + 1
SliderRole = Qt.UserRole + 2

IntArray = npt.NDArray[np.int64]


class Column(IntEnum):
    """Columns of the table."""

    SITE = 0
    FEATURE = 1
    LABEL = 2
    ACTIVATION = 3
    STEER = 4
    VALUE = 5


_TITLES = {
    Column.SITE: ("Site", "Layer of the policy whose residual stream the SAE reads"),
    Column.FEATURE: ("Feature", "Number of the feature in its dictionary"),
    Column.LABEL: ("Label", "Name and class, where somebody gave them"),
    Column.ACTIVATION: ("Activation", "Value after the edits, in observed maxima"),
    Column.STEER: ("Steer", "Drag to clamp; in observed maxima, 0 in the middle"),
    Column.VALUE: ("Commanded → applied", "In observed maxima; the policy may ramp, cap or refuse"),
}


@dataclass(frozen=True)
class BarData:
    """What the activation bar shows, in observed maxima (SAE units where that is unknown)."""

    natural: float
    applied: float
    edited: bool


@dataclass(frozen=True)
class SliderData:
    """What the slider shows, in observed maxima; NaN = there is none."""

    commanded: float
    applied: float
    natural: float
    enabled: bool
    pending: bool
    """Asked for, and not yet confirmed by the policy."""


class FeatureTableModel(QAbstractTableModel):
    """Rows are features. `order` holds the visible ones; live values never go through a proxy."""

    def __init__(self, parent: QObject | None = None) -> None:
        """Start without features."""
        super().__init__(parent)
        self._sort = Column.ACTIVATION
        self._descending = True
        self._filter = ""
        self.unlisted = 0
        self._fill(None)

    # Data in

    def set_catalogue(self, catalogue: CatalogueView) -> None:
        """Show another policy's features; values and wishes of the old one are gone."""
        self.beginResetModel()
        self._fill(catalogue)
        self.endResetModel()

    def set_activations(self, message: Activations) -> None:
        """Take one inference of one site; features it does not list are zero."""
        lookup = self._lookup.get(message.site)
        if lookup is None:
            self.unlisted += len(message.index)
            return
        inside = message.index < len(lookup)
        rows = lookup[message.index[inside]]
        known = rows >= 0
        self.unlisted = int(len(message.index) - known.sum())
        mine = self._rows_of_site[message.site]
        self._natural[mine] = 0.0
        self._applied[mine] = 0.0
        self._natural[rows[known]] = message.natural[inside][known]
        self._applied[rows[known]] = message.applied[inside][known]

    def set_steering(self, view: SteeringView) -> None:
        """Take the policy's word on every edit; wishes that it confirms are fulfilled."""
        self._commanded[:] = np.nan
        self._edit_applied[:] = np.nan
        self._owners.clear()
        for edit in view.edits:
            row = self.row_of((edit.site, edit.feature))
            if row is None:
                continue
            self._commanded[row] = edit.commanded
            self._edit_applied[row] = edit.applied
            self._owners[row] = f"{edit.owner}, {edit.phase}"
            wish = self._wishes.get(row)
            if wish is not None and np.isclose(edit.commanded / self._unit[row], wish, atol=1e-3):
                del self._wishes[row]

    def wish(self, row: int, value: float) -> None:
        """Show `value` (observed maxima) as asked for until the policy confirms it."""
        self._wishes[row] = value

    def forget_wishes(self) -> None:
        """Show what the policy says, nothing else."""
        self._wishes.clear()

    # Questions

    @property
    def size(self) -> int:
        """Number of features, shown or not."""
        return len(self._unit)

    def name_of(self, row: int) -> FeatureName:
        """Return (site, feature) of a row of the data, not of the view."""
        assert self._catalogue is not None
        site = self._catalogue.sites[self._catalogue.site_index[row]].name
        return site, int(self._catalogue.feature[row])

    def row_of(self, name: FeatureName) -> int | None:
        """Return the data row of a feature, None when it is not in the catalogue."""
        lookup = self._lookup.get(name[0])
        if lookup is None or name[1] >= len(lookup) or lookup[name[1]] < 0:
            return None
        return int(lookup[name[1]])

    def data_row(self, index: QModelIndex) -> int:
        """Return the data row that the view shows at `index`."""
        return int(self.order[index.row()])

    def can_steer(self, row: int) -> bool:
        """Say whether the feature takes edits: its site can steer and its scale is known."""
        assert self._catalogue is not None
        site = self._catalogue.sites[self._catalogue.site_index[row]]
        return site.can_steer and self._catalogue.observed_max[row] > 0

    # Order

    def set_filter(self, text: str) -> None:
        """Show only rows that contain every word of `text` in site, id, label or class."""
        self._filter = text.casefold().strip()
        self.reorder()

    def sort(self, column: int, order: Qt.SortOrder = Qt.AscendingOrder) -> None:
        """Sort by a column; edited rows stay on top."""
        self._sort, self._descending = Column(column), order == Qt.DescendingOrder
        self.reorder()

    def reorder(self) -> None:
        """Filter and sort by the present values. The selection stays on its features."""
        fresh = self._new_order()
        if np.array_equal(fresh, self.order):
            return
        self.layoutAboutToBeChanged.emit()
        place = np.full(self.size, -1, np.int64)
        place[fresh] = np.arange(len(fresh))
        before = self.persistentIndexList()
        after = []
        for index in before:
            new = int(place[self.order[index.row()]])
            after.append(self.createIndex(new, index.column()) if new >= 0 else QModelIndex())
        self.order = fresh
        self.changePersistentIndexList(before, after)
        self.layoutChanged.emit()

    def refresh(self, first: int, last: int) -> None:
        """Repaint the live columns of the visible view rows first to last."""
        last = min(last, len(self.order) - 1)
        if 0 <= first <= last:
            self.dataChanged.emit(self.index(first, Column.ACTIVATION),
                                  self.index(last, Column.VALUE))

    # Qt's questions

    @guarded(0)
    def rowCount(self, parent: QModelIndex = QModelIndex()) -> int:  # noqa: B008, N802
        """Return the number of visible rows."""
        return 0 if parent.isValid() else len(self.order)

    @guarded(0)
    def columnCount(self, parent: QModelIndex = QModelIndex()) -> int:  # noqa: B008, N802
        """Return the number of columns."""
        return 0 if parent.isValid() else len(Column)

    @guarded()
    def headerData(  # noqa: N802
        self, section: int, orientation: Qt.Orientation, role: int = Qt.DisplayRole
    ) -> Any:
        """Return title or tooltip of a column."""
        if orientation == Qt.Horizontal and role == Qt.DisplayRole:
            return _TITLES[Column(section)][0]
        if orientation == Qt.Horizontal and role == Qt.ToolTipRole:
            return _TITLES[Column(section)][1]
        return None

    @guarded(Qt.NoItemFlags)
    def flags(self, index: QModelIndex) -> Qt.ItemFlags:
        """Let steerable features be edited by number."""
        plain = Qt.ItemIsEnabled | Qt.ItemIsSelectable
        if index.column() == Column.STEER and self.can_steer(self.data_row(index)):
            return plain | Qt.ItemIsEditable
        return plain

    @guarded()
    def data(self, index: QModelIndex, role: int = Qt.DisplayRole) -> Any:
        """Return what the view draws; bars and sliders by roles of their own."""
        if not index.isValid() or self._catalogue is None:
            return None
        row, column = self.data_row(index), index.column()
        if role == Qt.DisplayRole:
            return self._text(row, column)
        if role == BarRole:
            return self._bar(row)
        if role == SliderRole:
            return self.slider(row)
        if role == Qt.EditRole and column == Column.STEER:
            slider = self.slider(row)
            return 0.0 if np.isnan(slider.commanded) else slider.commanded
        if role == Qt.ToolTipRole:
            return self._tooltip(row)
        if role == Qt.TextAlignmentRole and column == Column.FEATURE:
            return int(Qt.AlignRight | Qt.AlignVCenter)
        return None

    def slider(self, row: int) -> SliderData:
        """Return the slider of a data row."""
        unit = self._unit[row]
        wish = self._wishes.get(row)
        commanded = self._commanded[row] / unit if wish is None else wish
        return SliderData(float(commanded), float(self._edit_applied[row] / unit),
                          float(self._natural[row] / unit), self.can_steer(row), wish is not None)

    def _bar(self, row: int) -> BarData:
        unit = self._unit[row]
        return BarData(float(self._natural[row] / unit), float(self._applied[row] / unit),
                       bool(self._natural[row] != self._applied[row]))

    def _text(self, row: int, column: int) -> str | None:
        assert self._catalogue is not None
        if column == Column.SITE:
            return self.name_of(row)[0]
        if column == Column.FEATURE:
            return str(self._catalogue.feature[row])
        if column == Column.LABEL:
            label, kind = self._catalogue.labels[row], self._catalogue.classes[row]
            return f"{label}  [{kind}]" if kind else label
        if column == Column.VALUE:
            slider = self.slider(row)
            if np.isnan(slider.commanded):
                return ""
            applied = "…" if np.isnan(slider.applied) else f"{slider.applied:.2f}"
            return f"{slider.commanded:.2f} → {applied}"
        return None

    def _tooltip(self, row: int) -> str:
        assert self._catalogue is not None
        site, feature = self.name_of(row)
        lines = [f"{site} #{feature}  {self._catalogue.labels[row]}",
                 self._catalogue.descriptions[row],
                 f"natural {self._natural[row]:.3f}, applied {self._applied[row]:.3f}, "
                 f"observed maximum {self._catalogue.observed_max[row]:.3f} (SAE units)"]
        if row in self._owners:
            lines.append(f"edit of {self._owners[row]}")
        if not self.can_steer(row):
            lines.append("cannot be steered: " + (
                "its observed maximum is unknown or zero"
                if self._catalogue.observed_max[row] <= 0 else "the site does not take edits"))
        return "\n".join(filter(None, lines))

    def _fill(self, catalogue: CatalogueView | None) -> None:
        self._catalogue = catalogue
        size = 0 if catalogue is None else len(catalogue.feature)
        self._natural, self._applied = np.zeros(size), np.zeros(size)
        self._commanded, self._edit_applied = np.full(size, np.nan), np.full(size, np.nan)
        self._unit = np.ones(size)
        self._wishes: dict[int, float] = {}
        self._owners: dict[int, str] = {}
        self._lookup: dict[str, IntArray] = {}
        self._rows_of_site: dict[str, IntArray] = {}
        self._search: list[str] = []
        if catalogue is not None:
            known = catalogue.observed_max > 0
            self._unit[known] = catalogue.observed_max[known]
            for number, site in enumerate(catalogue.sites):
                rows = np.flatnonzero(catalogue.site_index == number)
                largest = int(catalogue.feature[rows].max()) + 1 if len(rows) else 0
                lookup = np.full(max(site.dictionary_size, largest), -1, np.int64)
                lookup[catalogue.feature[rows]] = rows
                self._lookup[site.name], self._rows_of_site[site.name] = lookup, rows
            self._search = [
                f"{catalogue.sites[site].name} #{feature} {label} {kind}".casefold()
                for site, feature, label, kind in zip(
                    catalogue.site_index.tolist(), catalogue.feature.tolist(), catalogue.labels,
                    catalogue.classes, strict=True)
            ]
        self.order: IntArray = np.arange(size)
        self.order = self._new_order()

    def _new_order(self) -> IntArray:
        words = self._filter.split()
        if words:
            rows = np.array([row for row, text in enumerate(self._search)
                             if all(word in text for word in words)], np.int64)
        else:
            rows = np.arange(self.size)
        key = self._sort_key(rows)
        sorted_rows = rows[np.argsort(-key if self._descending else key, kind="stable")]
        edited = ~np.isnan(self._commanded[sorted_rows])
        if self._wishes:
            edited |= np.isin(sorted_rows, list(self._wishes))
        return np.concatenate([sorted_rows[edited], sorted_rows[~edited]])

    def _sort_key(self, rows: IntArray) -> npt.NDArray[np.float64]:
        if self._catalogue is None:
            return np.zeros(0)
        if self._sort == Column.SITE:
            return self._catalogue.site_index[rows].astype(float)
        if self._sort == Column.FEATURE:
            return self._catalogue.feature[rows].astype(float)
        if self._sort == Column.LABEL:
            labels = np.array([self._catalogue.labels[row].casefold() for row in rows])
            return np.unique(labels, return_inverse=True)[1].astype(float)
        return self._applied[rows] / self._unit[rows]
