"""The features as one Qt table with an order of its own."""

from __future__ import annotations

import math
from enum import Enum
from typing import Any

import numpy as np
from PyQt5.QtCore import QAbstractTableModel, QModelIndex, QObject, Qt

from vla_sae_ros.core.catalogue import AS_NAMED
from vla_sae_ros.core.steering import Mode
from vla_sae_ros.core.steering.preset import line_of
from vla_sae_ros.panel.state.feature_columns import FeatureColumns, IntArray, SortKey
from vla_sae_ros.panel.state.slider import Slider
from vla_sae_ros.panel.state.store import Store
from vla_sae_ros.panel.state.values import MODE_WORDS, UNIT_WORDS
from vla_sae_ros.panel.table.table_columns import SORT_KEYS, SPARK_SECONDS, TITLES, Column
from vla_sae_ros.panel.widgets.guard import guarded
from vla_sae_ros.panel.widgets.plain_text import plain_tip

BarRole = Qt.ItemDataRole.UserRole + 1
SliderRole = Qt.ItemDataRole.UserRole + 2
SparkRole = Qt.ItemDataRole.UserRole + 3
SteersRole = Qt.ItemDataRole.UserRole + 4


class Filter(Enum):
    """Which rows are shown; several together narrow further."""

    ALIVE = "alive"
    GENERAL = "general"
    PINNED = "pinned"
    EDITED = "edited"
    TESTED = "tested"


TEST_MARKS = {AS_NAMED: "✓", "opposite": "✗", "causal": "●", "not shown": "○", "cannot tell": "○"}
"""Before the name of a feature that a steering study tested; without a name, what it found."""

_ROLES = frozenset(
    {
        int(Qt.ItemDataRole.DisplayRole),
        int(Qt.ItemDataRole.EditRole),
        int(Qt.ItemDataRole.ToolTipRole),
        int(BarRole),
        int(SliderRole),
        int(SparkRole),
        int(SteersRole),
    }
)
_NO_FLAGS = Qt.ItemFlags(Qt.ItemFlag.NoItemFlags)
_PLAIN = Qt.ItemFlags(Qt.ItemFlag.ItemIsEnabled) | Qt.ItemFlag.ItemIsSelectable
_EDITABLE = _PLAIN | Qt.ItemFlag.ItemIsEditable


class FeatureTableModel(QAbstractTableModel):
    """`order` holds the visible rows of the store: live values never go through a proxy model."""

    def __init__(self, store: Store, parent: QObject | None = None) -> None:
        """Show the features of `store`."""
        super().__init__(parent)
        self._store = store
        self._key, self._descending, self._search = SortKey.ACTIVATION, True, ""
        self.filters: set[Filter] = set()
        self.order: IntArray = self._new_order()

    @property
    def columns(self) -> FeatureColumns:
        """The values behind the table."""
        return self._store.columns

    @property
    def search(self) -> str:
        """What is searched for."""
        return self._search

    def reset(self) -> None:
        """Show the store's features anew: rows mean other ones than before."""
        self.beginResetModel()
        self.order = self._new_order()
        self.endResetModel()

    def data_row(self, index: QModelIndex) -> int:
        """Return the row of `columns` that the view shows at `index`."""
        return int(self.order[index.row()])

    def place_of(self, row: int) -> int | None:
        """Return the view row that shows a row of `columns`, None when it is filtered out."""
        places = np.flatnonzero(self.order == row)
        return int(places[0]) if len(places) else None

    def set_search(self, text: str) -> None:
        """Show only rows that contain every word of `text` in site, #id, label or class."""
        self._search = text
        self.reorder()

    def set_filter(self, which: Filter, on: bool) -> None:
        """Narrow the rows, or widen them again."""
        (self.filters.add if on else self.filters.discard)(which)
        self.reorder()

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        """Sort by a column; edited and pinned rows stay on top."""
        self._key = SORT_KEYS[Column(column)]
        self._descending = order == Qt.SortOrder.DescendingOrder
        self.headerDataChanged.emit(Qt.Orientation.Horizontal, 0, len(Column) - 1)
        self.reorder()

    def sort_by_title(self, column: Column) -> None:
        """Sort as a click on a title asks: again the same turns the order round."""
        if column not in SORT_KEYS:
            return
        largest_first = SORT_KEYS[column] >= SortKey.COVERAGE
        if SORT_KEYS[column] is self._key:
            largest_first = not self._descending
        order = Qt.SortOrder
        self.sort(column, order.DescendingOrder if largest_first else order.AscendingOrder)

    @property
    def sorted_by(self) -> tuple[Column, bool]:
        """The column that the rows are sorted by, and whether the largest comes first."""
        return next(c for c, key in SORT_KEYS.items() if key is self._key), self._descending

    def reorder(self) -> None:
        """Search, filter and sort by the present values. The selection stays on its features."""
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
            arrow = " ▼" if self._descending else " ▲"
            sorted_by = SORT_KEYS.get(Column(section)) is self._key
            return TITLES[Column(section)][0] + (arrow if sorted_by else "")
        if orientation == Qt.Orientation.Horizontal and role == Qt.ItemDataRole.ToolTipRole:
            return TITLES[Column(section)][1]
        return None

    @guarded(_NO_FLAGS)
    def flags(self, index: QModelIndex) -> Qt.ItemFlags:
        """Let steerable features be edited by number and mode."""
        if not index.isValid():
            return _NO_FLAGS
        row, column = self.data_row(index), index.column()
        if column == Column.MODE and self.columns.site(row).can_steer:
            return _EDITABLE
        if column in (Column.STEER, Column.VALUE) and self.columns.takes_numbers(row):
            return _EDITABLE
        return _PLAIN

    @guarded()
    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return what the view draws; bars, sliders and sparklines by roles of their own."""
        # Qt asks for a dozen roles per cell and frame: most have no answer.
        if role not in _ROLES or not index.isValid():
            return None
        row, column = self.data_row(index), index.column()
        if role == Qt.ItemDataRole.DisplayRole:
            return self._text(row, column)
        if role == BarRole:
            return self.columns.bar(row)
        if role in (SliderRole, Qt.ItemDataRole.EditRole):
            return self.columns.slider(row)
        if role == SparkRole:
            history = self._store.history
            values = history.applied(np.array([row]), SPARK_SECONDS)[:, 0]
            known = np.isfinite(values)
            return history.times(SPARK_SECONDS)[known], values[known]
        if role == SteersRole:
            return self.columns.site(row).can_steer
        return self._tooltip(row)

    def _text(self, row: int, column: int) -> str | None:
        catalogue = self._store.catalogue
        if column == Column.PIN:
            return "★" if self.columns.name_of(row) in self._store.pinned else None
        if column == Column.SITE:
            return self.columns.site(row).name
        if column == Column.FEATURE:
            return f"#{self.columns.feature[row]}"
        if column == Column.LABEL:
            found, name = catalogue.outcomes[row], catalogue.names[row]
            mark = TEST_MARKS.get(found, "")
            return f"{mark} {name or found}" if mark else name
        if column == Column.CLASS:
            return catalogue.classes[row]
        if column == Column.COVERAGE:
            share = catalogue.coverage[row]
            return "" if math.isnan(share) else f"{share:.0%}"
        if column not in (Column.MODE, Column.VALUE) or not self.columns.has_edit(row):
            return None
        slider = self.columns.slider(row)
        return edit_words(slider) if column == Column.MODE else value_words(slider)

    def _tooltip(self, row: int) -> str:
        columns, catalogue = self.columns, self._store.catalogue
        site, feature = columns.name_of(row)
        lines = [
            f"{site} #{feature}  {catalogue.names[row]}",
            catalogue.descriptions[row],
            catalogue.tests[row],
            f"natural {columns.natural[row]:.3f}, applied {columns.applied[row]:.3f}, "
            f"observed maximum {catalogue.observed_max[row]:.3f} (SAE units)",
        ]
        if row in columns.edits:
            edit = columns.edits[row]
            lines.append(
                f"edit of {edit.owner}: {edit.phase.name.lower().replace('_', ' ')}, "
                f"{edit.weight:.0%} applied"
            )
            if edit.edit.when is not None:
                read = "nothing" if edit.condition_reading is None else edit.condition_reading
                lines.append(f"acts only when {line_of(edit.edit.when)}; reads {read}")
            if edit.edit.control is not None:
                read = "nothing" if edit.control_reading is None else edit.control_reading
                lines.append(f"controlled by {line_of(edit.edit.control)}; reads {read}")
        if not catalogue.listed[row]:
            lines.append("not in the policy's catalogue: dead or unknown in the SAE's data")
        if why_not := columns.why_not(row):
            lines.append(f"cannot be steered: {why_not}")
        return plain_tip("\n".join(filter(None, lines)))

    def _new_order(self) -> IntArray:
        columns = self.columns
        edited = columns.edited()
        pinned = np.zeros(columns.size, np.bool_)
        pinned[self._store.rows(self._store.pinned)] = True
        shown = columns.matching(self._search)
        if Filter.ALIVE in self.filters:
            shown &= columns.alive()
        if Filter.GENERAL in self.filters:
            shown &= np.array(
                [kind == "general" for kind in self._store.catalogue.classes], np.bool_
            )
        if Filter.PINNED in self.filters:
            shown &= pinned
        if Filter.EDITED in self.filters:
            shown &= edited
        if Filter.TESTED in self.filters:
            shown &= np.array([bool(one) for one in self._store.catalogue.outcomes], np.bool_)
        values = (
            self._store.history.change(SPARK_SECONDS)
            if self._key is SortKey.CHANGE
            else columns.values(self._key)
        )
        rows = np.flatnonzero(shown)
        rows = rows[np.argsort(-values[rows] if self._descending else values[rows], kind="stable")]
        first, second = edited[rows], pinned[rows] & ~edited[rows]
        return np.concatenate([rows[first], rows[second], rows[~(first | second)]])


def edit_words(slider: Slider) -> str:
    """Return what an edit does, in two words."""
    edit = slider.edit
    measured = edit.mode in (Mode.CLAMP, Mode.ADD)
    words = (
        f"{MODE_WORDS[edit.mode]} {UNIT_WORDS[edit.unit]}" if measured else (MODE_WORDS[edit.mode])
    )
    return f"{words} …" if slider.leaving else words


def value_words(slider: Slider) -> str | None:
    """Return commanded and applied value of an edit; None without one."""
    if math.isnan(slider.commanded):
        return None
    applied = "…" if math.isnan(slider.applied) else f"{slider.applied:.2f}"
    asked = "natural" if slider.leaving else f"{slider.commanded:.2f}"
    return f"{asked} → {applied}"
