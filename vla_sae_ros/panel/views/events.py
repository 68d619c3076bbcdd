"""The view of the audit trail: who changed what, and what was refused."""

from __future__ import annotations

from dataclasses import replace

from PyQt5.QtCore import QModelIndex, Qt
from PyQt5.QtGui import QFontMetrics
from PyQt5.QtWidgets import (
    QAbstractItemView,
    QCheckBox,
    QHBoxLayout,
    QHeaderView,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from vla_sae_ros.core.steering import Edit, Mode
from vla_sae_ros.panel.state.store import Store
from vla_sae_ros.panel.state.values import UNIT_WORDS, EventView, FeatureName
from vla_sae_ros.panel.views.event_model import EventColumn, EventModel
from vla_sae_ros.panel.views.view import Context
from vla_sae_ros.panel.widgets.guard import guarded
from vla_sae_ros.panel.widgets.plain_text import PlainLabel

_WIDEST = {
    EventColumn.TIME: "00:00:00.0",
    EventColumn.OBSERVED: "Observation",
    EventColumn.KIND: "⚠ LEASE EXPIRED",
    EventColumn.OWNER: "panel_00000",
    EventColumn.FEATURE: "expert.1 #0000",
    EventColumn.CHANGE: "natural → 00.00 x max",
}
"""What fits into a column at first; columns can be dragged wider."""


class EventsView(QWidget):
    """A table, newest first; Return or a double click selects the event's feature."""

    def __init__(self, context: Context) -> None:
        """Start empty."""
        super().__init__()
        self._select, self._seen = context.select, 0
        self._edits: dict[FeatureName, Edit] = {}
        self.model = EventModel(self)
        self.only = QCheckBox("&Refusals, caps and lost leases only")
        self.only.toggled.connect(self._filter)
        self.count = PlainLabel()
        line = QHBoxLayout()
        line.addWidget(self.only)
        line.addStretch(1)
        line.addWidget(self.count)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(4, 4, 4, 4)
        whole.addLayout(line)
        self.table = self._make_table()
        whole.addWidget(self.table, 1)

    def refresh(self, store: Store, now: float) -> None:
        """Append what is new."""
        if store.steering is not None:  # an event may tell of an edit that is gone
            self._edits |= {(e.edit.site, e.edit.feature): e.edit for e in store.steering.edits}
        fresh = min(store.events_seen - self._seen, len(store.events))
        if fresh <= 0:
            return
        self._seen = store.events_seen
        self.model.extend([self._in_unit(store, e) for e in list(store.events)[-fresh:]])
        refused = f", {store.counters.refused} refused" if store.counters.refused else ""
        self.count.setText(f"{store.events_seen} events{refused}")

    def _in_unit(self, store: Store, event: EventView) -> EventView:
        """Return the event with its values in the unit of its edit, as the table shows them."""
        name = event.site, event.feature
        edit, row = self._edits.get(name), store.columns.row_of(name)
        if edit is None or row is None or edit.mode not in (Mode.CLAMP, Mode.ADD):
            return event
        scale = store.columns.per_unit(row, edit)
        if not scale > 0:
            return event
        return replace(
            event,
            from_value=event.from_value / scale,
            to_value=event.to_value / scale,
            unit=UNIT_WORDS[edit.unit],
        )

    @guarded()
    def _filter(self, only: bool) -> None:
        self.model.show_alarming_only(only)

    @guarded()
    def _choose(self, index: QModelIndex) -> None:
        event = self.model.shown[index.row()]
        if event.of_feature:
            self._select((event.site, event.feature))

    def _make_table(self) -> QTableView:
        table = QTableView()
        table.setModel(self.model)
        table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        table.setShowGrid(False)
        table.setAlternatingRowColors(True)
        table.setWordWrap(False)
        table.setTabKeyNavigation(False)
        table.activated.connect(self._choose)
        rows, columns = table.verticalHeader(), table.horizontalHeader()
        assert rows is not None and columns is not None
        rows.hide()
        rows.setDefaultSectionSize(table.fontMetrics().height() + 6)
        columns.setSectionResizeMode(EventColumn.REASON, QHeaderView.ResizeMode.Stretch)
        columns.setMinimumSectionSize(table.fontMetrics().horizontalAdvance("0" * 12))
        columns.setDefaultAlignment(
            Qt.Alignment(Qt.AlignmentFlag.AlignLeft) | Qt.AlignmentFlag.AlignVCenter
        )
        font = table.font()
        font.setBold(True)
        bold = QFontMetrics(font)
        for column, words in _WIDEST.items():
            table.setColumnWidth(column, bold.horizontalAdvance(words) + 12)
        return table
