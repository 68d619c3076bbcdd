"""The audit trail as a Qt table, newest first, bounded."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Sequence
from enum import IntEnum
from typing import Any

from PyQt5.QtCore import QAbstractTableModel, QModelIndex, QObject, Qt
from PyQt5.QtGui import QFont
from PyQt5.QtWidgets import QApplication

from vla_sae_ros.panel.state.values import EventView
from vla_sae_ros.panel.views.plot_inks import PlotInks
from vla_sae_ros.panel.widgets.guard import guarded
from vla_sae_ros.panel.widgets.plain_text import plain_tip

ALARMING = frozenset({"refused", "capped", "lease expired"})
"""Kinds that an operator must not overlook."""


class EventColumn(IntEnum):
    """Columns of the log."""

    TIME = 0
    OBSERVED = 1
    KIND = 2
    OWNER = 3
    FEATURE = 4
    CHANGE = 5
    REASON = 6


_TITLES = (
    ("Time", "Wall time at which the panel received it"),
    ("Observation", "Stamp of the observation it acted on; simulated time in a simulation"),
    ("What", "Set, refused, released, ..."),
    ("Who", "Owner of the edit"),
    ("Feature", "Site and number"),
    ("From → to", "In the unit of the edit"),
    ("Why", "In words"),
)
"""Title and tooltip."""


class EventModel(QAbstractTableModel):
    """Keeps the newest `limit` events."""

    def __init__(self, parent: QObject | None = None, limit: int = 500) -> None:
        """Start empty."""
        super().__init__(parent)
        self._limit = limit
        self._all: deque[EventView] = deque(maxlen=limit)
        self._alarming_only = False
        self.shown: list[EventView] = []

    def extend(self, events: Sequence[EventView]) -> None:
        """Add events, oldest first."""
        self._all.extend(events)
        fresh = [event for event in events if self._wanted(event)][-self._limit :]
        if not fresh:
            return
        self.beginInsertRows(QModelIndex(), 0, len(fresh) - 1)
        self.shown[:0] = reversed(fresh)
        self.endInsertRows()
        if len(self.shown) > self._limit:
            self.beginRemoveRows(QModelIndex(), self._limit, len(self.shown) - 1)
            del self.shown[self._limit :]
            self.endRemoveRows()

    def show_alarming_only(self, only: bool) -> None:
        """Show refusals, caps and lost leases only, or everything."""
        self.beginResetModel()
        self._alarming_only = only
        self.shown = [event for event in reversed(self._all) if self._wanted(event)]
        self.endResetModel()

    @guarded(0)
    def rowCount(self, parent: QModelIndex = QModelIndex()) -> int:
        """Return the number of events shown."""
        return 0 if parent.isValid() else len(self.shown)

    @guarded(0)
    def columnCount(self, parent: QModelIndex = QModelIndex()) -> int:
        """Return the number of columns."""
        return 0 if parent.isValid() else len(EventColumn)

    @guarded()
    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        """Return a column's title."""
        if orientation == Qt.Orientation.Horizontal and role == Qt.ItemDataRole.DisplayRole:
            return _TITLES[section][0]
        if orientation == Qt.Orientation.Horizontal and role == Qt.ItemDataRole.ToolTipRole:
            return _TITLES[section][1]
        return None

    @guarded()
    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return a cell's text; what is alarming is bold and coloured, too."""
        if not index.isValid():
            return None
        event = self.shown[index.row()]
        if role == Qt.ItemDataRole.DisplayRole:
            return event_words(event)[index.column()]
        if role == Qt.ItemDataRole.ToolTipRole:
            asked = f"asked by {event.node}" if event.node else ""
            return plain_tip("   ".join(filter(None, (*event_words(event), asked))))
        if event.kind in ALARMING and role == Qt.ItemDataRole.ForegroundRole:
            return PlotInks.of(QApplication.palette()).alarm
        if event.kind in ALARMING and role == Qt.ItemDataRole.FontRole:
            font = QFont(QApplication.font())
            font.setBold(True)
            return font
        return None

    def _wanted(self, event: EventView) -> bool:
        return not self._alarming_only or event.kind in ALARMING


def event_words(event: EventView) -> tuple[str, ...]:
    """Return the cells of one event."""
    kind = f"⚠ {event.kind.upper()}" if event.kind in ALARMING else event.kind
    change = ""
    if not (math.isnan(event.from_value) and math.isnan(event.to_value)):
        change = f"{_value(event.from_value)} → {_value(event.to_value)} {event.unit}".rstrip()
    feature = f"{event.site} #{event.feature}" if event.of_feature else event.site
    return (
        _clock(event.received),
        _clock(event.time),
        kind,
        event.owner,
        feature,
        change if event.site else "",
        event.reason,
    )


def _value(value: float) -> str:
    return "natural" if math.isnan(value) else f"{value:.2f}"


def _clock(stamp: float) -> str:
    if stamp <= 0:
        return ""
    tenths = int(stamp * 10) % 10
    return time.strftime("%H:%M:%S", time.localtime(stamp)) + f".{tenths}"
