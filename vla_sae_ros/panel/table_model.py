"""The features as one Qt table with an order of its own."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import numpy as np
from PyQt5.QtCore import QAbstractTableModel, QModelIndex, QObject, Qt

from vla_sae_ros.panel.feature_columns import FeatureColumns, IntArray, SortKey
from vla_sae_ros.panel.guard import guarded
from vla_sae_ros.panel.values import CatalogueView

BarRole = Qt.ItemDataRole.UserRole + 1
SliderRole = Qt.ItemDataRole.UserRole + 2


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
_ANSWERED = frozenset({
    int(Qt.ItemDataRole.DisplayRole), int(Qt.ItemDataRole.EditRole),
    int(Qt.ItemDataRole.ToolTipRole), int(BarRole), int(SliderRole),
})
_NO_FLAGS = Qt.ItemFlags(Qt.ItemFlag.NoItemFlags)
_PLAIN = Qt.ItemFlags(Qt.ItemFlag.ItemIsEnabled) | Qt.ItemFlag.ItemIsSelectable
_EDITABLE = _PLAIN | Qt.ItemFlag.ItemIsEditable
_SORT_KEYS = {Column.SITE: SortKey.SITE, Column.FEATURE: SortKey.FEATURE,
              Column.LABEL: SortKey.LABEL}
_NOTHING = CatalogueView("", (), np.zeros(0, np.int32), np.zeros(0, np.uint32), (), (), (),
                         np.zeros(0, np.float32))


class FeatureTableModel(QAbstractTableModel):
    """`order` holds the visible rows of `columns`: live values never go through a proxy model."""

    def __init__(self, parent: QObject | None = None) -> None:
        """Start without features."""
        super().__init__(parent)
        self._key, self._descending, self._search = SortKey.ACTIVATION, True, ""
        self.columns = FeatureColumns(_NOTHING)
        self.order: IntArray = self._new_order()

    def set_catalogue(self, catalogue: CatalogueView) -> None:
        """Show another policy's features; values and wishes of the old one are gone."""
        self.beginResetModel()
        self.columns = FeatureColumns(catalogue)
        self.order = self._new_order()
        self.endResetModel()

    def data_row(self, index: QModelIndex) -> int:
        """Return the row of `columns` that the view shows at `index`."""
        return int(self.order[index.row()])

    def set_search(self, text: str) -> None:
        """Show only rows that contain every word of `text` in site, id, label or class."""
        self._search = text
        self.reorder()

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        """Sort by a column; edited rows stay on top."""
        self._key = _SORT_KEYS.get(Column(column), SortKey.ACTIVATION)
        self._descending = order == Qt.SortOrder.DescendingOrder
        self.reorder()

    def reorder(self) -> None:
        """Search and sort by the present values. The selection stays on its features."""
        fresh = self._new_order()
        if np.array_equal(fresh, self.order):
            return
        self.layoutAboutToBeChanged.emit()
        place = np.full(self.columns.size, -1, np.int64)
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

    @guarded(0)
    def rowCount(self, parent: QModelIndex = QModelIndex()) -> int:
        """Return the number of visible rows."""
        return 0 if parent.isValid() else len(self.order)

    @guarded(0)
    def columnCount(self, parent: QModelIndex = QModelIndex()) -> int:
        """Return the number of columns."""
        return 0 if parent.isValid() else len(Column)

    @guarded()
    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        """Return title or tooltip of a column."""
        if orientation == Qt.Orientation.Horizontal and role == Qt.ItemDataRole.DisplayRole:
            return _TITLES[Column(section)][0]
        if orientation == Qt.Orientation.Horizontal and role == Qt.ItemDataRole.ToolTipRole:
            return _TITLES[Column(section)][1]
        return None

    @guarded(_NO_FLAGS)
    def flags(self, index: QModelIndex) -> Qt.ItemFlags:
        """Let steerable features be edited by number."""
        if not index.isValid():
            return _NO_FLAGS
        if index.column() == Column.STEER and self.columns.can_steer(self.data_row(index)):
            return _EDITABLE
        return _PLAIN

    @guarded()
    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return what the view draws; bars and sliders by roles of their own."""
        # Qt asks for a dozen roles per cell and frame: most have no answer.
        if role not in _ANSWERED or not index.isValid():
            return None
        row, column = self.data_row(index), index.column()
        if role == Qt.ItemDataRole.DisplayRole:
            return self._text(row, column)
        if role == BarRole:
            return self.columns.bar(row)
        if role == SliderRole:
            return self.columns.slider(row)
        if role == Qt.ItemDataRole.EditRole and column == Column.STEER:
            commanded = self.columns.slider(row).commanded
            return 0.0 if np.isnan(commanded) else commanded
        if role == Qt.ItemDataRole.ToolTipRole:
            return self._tooltip(row)
        return None

    def _text(self, row: int, column: int) -> str | None:
        catalogue = self.columns.catalogue
        if column == Column.SITE:
            return self.columns.name_of(row)[0]
        if column == Column.FEATURE:
            return f"#{catalogue.feature[row]}"
        if column == Column.LABEL:
            label, kind = catalogue.labels[row], catalogue.classes[row]
            return f"{label}  [{kind}]".strip() if kind else label
        slider = self.columns.slider(row)
        if column != Column.VALUE or np.isnan(slider.commanded):
            return None
        applied = "…" if np.isnan(slider.applied) else f"{slider.applied:.2f}"
        return f"{slider.commanded:.2f} → {applied}"

    def _tooltip(self, row: int) -> str:
        columns, catalogue = self.columns, self.columns.catalogue
        site, feature = columns.name_of(row)
        lines = [f"{site} #{feature}  {catalogue.labels[row]}", catalogue.descriptions[row],
                 f"natural {columns.natural[row]:.3f}, applied {columns.applied[row]:.3f}, "
                 f"observed maximum {catalogue.observed_max[row]:.3f} (SAE units)"]
        if row in columns.owners:
            lines.append(f"edit of {columns.owners[row]}")
        if why_not := columns.why_not(row):
            lines.append(f"cannot be steered: {why_not}")
        return "\n".join(filter(None, lines))

    def _new_order(self) -> IntArray:
        return self.columns.ordered(self._key, self._descending, self._search)
