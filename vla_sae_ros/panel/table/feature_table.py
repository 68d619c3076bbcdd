"""The table itself: dragging a slider, typing a value, choosing a mode, releasing, pinning."""

from __future__ import annotations

import math
from typing import Any

from PyQt5.QtCore import QEvent, QItemSelection, QPoint, QRectF, Qt, pyqtSignal
from PyQt5.QtGui import (
    QContextMenuEvent,
    QCursor,
    QFontMetrics,
    QKeyEvent,
    QMouseEvent,
    QResizeEvent,
)
from PyQt5.QtWidgets import (
    QAbstractItemView,
    QApplication,
    QComboBox,
    QDoubleSpinBox,
    QHeaderView,
    QMenu,
    QTableView,
    QWidget,
)

from vla_sae_ros.panel.table.delegates import (
    MODES,
    ActivationDelegate,
    ModeDelegate,
    SiteDelegate,
    SparkDelegate,
    SteeringDelegate,
    ValueDelegate,
    mode_words,
    value_at,
)
from vla_sae_ros.panel.table.table_columns import Column, has_any
from vla_sae_ros.panel.table.table_model import FeatureTableModel
from vla_sae_ros.panel.widgets.guard import guarded
from vla_sae_ros.panel.widgets.inks import em

_ROW_HEIGHT = 26
_WIDTHS = {
    Column.PIN: 24,
    Column.SITE: 80,
    Column.FEATURE: 68,
    Column.LABEL: 160,
    Column.CLASS: 82,
    Column.COVERAGE: 54,
    Column.ACTIVATION: 124,
    Column.SPARK: 84,
    Column.MODE: 104,
    Column.STEER: 140,
    Column.VALUE: 108,
}
_SPARE = (Column.COVERAGE, Column.CLASS, Column.SPARK)  # hidden first in a narrow window
_SPARE_LAST = (Column.VALUE, Column.MODE, Column.PIN, Column.ACTIVATION)  # in half a screen
_NARROW_LABEL = 70
_NUDGE = 0.02  # of a slider's half range per arrow key


class FeatureTable(QTableView):
    """Signals carry rows of the data, which re-sorting does not change."""

    dragged = pyqtSignal(int, float)
    """(row, value in the edit's unit), while the mouse or an arrow key moves a slider."""
    committed = pyqtSignal(int, float)
    """(row, value), when the mouse or key is released or a number was typed."""
    mode_chosen = pyqtSignal(int, object, object)
    """(row, Mode, Unit)."""
    condition_asked = pyqtSignal(int)
    control_asked = pyqtSignal(int)
    """(row): somebody wants to say when its edit acts."""
    released = pyqtSignal(int)
    """(row): the edit is to be released."""
    immovable = pyqtSignal(int)
    """(row): a key wanted to move a slider that cannot be moved."""
    pin_toggled = pyqtSignal(int)
    selected = pyqtSignal(int)

    def __init__(self, model: FeatureTableModel, parent: QWidget | None = None) -> None:
        """Show `model`."""
        super().__init__(parent)
        self._pressed: tuple[int, QRectF, QPoint] | None = None  # (data row, cell, where)
        self._dragging = False
        self._nudged: tuple[int, float] | None = None
        self._entered_at: QPoint | None = None  # None: nobody has moved the pointer into the rows
        self.features = model
        self.setModel(model)
        self._delegates = {
            Column.SITE: SiteDelegate(self),
            Column.ACTIVATION: ActivationDelegate(self),
            Column.SPARK: SparkDelegate(self),
            Column.MODE: ModeDelegate(self),
            Column.STEER: SteeringDelegate(self),
            Column.VALUE: ValueDelegate(self),
        }
        for column, delegate in self._delegates.items():
            self.setItemDelegateForColumn(column, delegate)
        self.setEditTriggers(QAbstractItemView.EditTrigger.DoubleClicked)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setAlternatingRowColors(True)
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setTabKeyNavigation(False)
        self._set_headers()

    @property
    def dragging(self) -> bool:
        """A slider is being dragged or a number typed: the order must stay."""
        return (
            self._dragging
            or self._nudged is not None
            or self.state() == QAbstractItemView.State.EditingState
        )

    @property
    def under_pointer(self) -> bool:
        """Somebody has moved the pointer over the rows: none of them may move away under it.

        A pointer that merely lay there when the window opened points at nothing.
        """
        return self._entered_at is not None and QCursor.pos() != self._entered_at

    @property
    def current_row(self) -> int | None:
        """The selected row of the data."""
        index = self.currentIndex()
        return self.features.data_row(index) if index.isValid() else None

    def draw(self, sparks: bool = True) -> None:
        """Repaint what lives, sparklines only if asked: dataChanged would repaint every cell."""
        viewport = self.viewport()
        if viewport is None:
            return
        if sparks:
            viewport.update()
            return
        for column in (Column.ACTIVATION, Column.MODE, Column.STEER, Column.VALUE):
            viewport.update(
                self.columnViewportPosition(column), 0, self.columnWidth(column), viewport.height()
            )

    def select(self, row: int) -> None:
        """Select a row of the data and bring it into sight, if it is not filtered out."""
        place = self.features.place_of(row)
        if place is not None:
            index = self.features.index(place, Column.FEATURE)
            self.setCurrentIndex(index)
            self.scrollTo(index)

    def fit_columns(self) -> None:
        """Hide columns that are empty, and those that a slider of useful width has no room for."""
        scale = max(em(QFontMetrics(self.font())), 1.0)
        catalogue = self.features.columns.catalogue
        shown = [column for column in Column if has_any(catalogue, column)]
        viewport = self.viewport()
        room = (viewport.width() if viewport else 0) - round(_WIDTHS[Column.STEER] * scale)
        for spare in _SPARE:
            if sum(self._widths[each] for each in shown if each is not Column.STEER) > room:
                shown = [each for each in shown if each is not spare]
        narrow = min(round(_NARROW_LABEL * scale), self._widths[Column.LABEL])
        widths = {**self._widths, Column.LABEL: narrow}
        for spare in _SPARE_LAST:
            if sum(widths[each] for each in shown if each is not Column.STEER) > room:
                shown = [each for each in shown if each is not spare]
        for column in Column:
            self.setColumnHidden(column, column not in shown)
        others = sum(
            self._widths[each] for each in shown if each not in (Column.STEER, Column.LABEL)
        )
        wanted = self._widths[Column.LABEL]
        if Column.LABEL in shown:
            self.setColumnWidth(Column.LABEL, min(wanted, max(narrow, room - others)))
            self._widths[Column.LABEL] = wanted

    def save(self) -> dict[str, Any]:
        """Return order and widths as plain values."""
        column, descending = self.features.sorted_by
        return {
            "sort": column.name,
            "descending": descending,
            "widths": {column.name: width for column, width in self._widths.items()},
        }

    def restore(self, saved: dict[str, Any]) -> None:
        """Take what `save` returned; unknown columns are passed over."""
        widths = saved.get("widths", {})
        for column in Column:
            if column.name in widths and column is not Column.STEER:
                self.setColumnWidth(column, int(widths[column.name]))
        if saved.get("sort") in Column.__members__:
            order = Qt.SortOrder
            self.features.sort(
                Column[saved["sort"]],
                order.DescendingOrder if saved.get("descending") else order.AscendingOrder,
            )

    @guarded(False)
    def viewportEvent(self, event: QEvent) -> bool:
        """Note the pointer's way in and out."""
        if event.type() == QEvent.Type.Enter:
            self._entered_at = QCursor.pos()
        elif event.type() in (QEvent.Type.Leave, QEvent.Type.Hide):
            self._entered_at = None
        return super().viewportEvent(event)

    @guarded()
    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Note where a drag may begin; a click alone changes nothing on a moving robot."""
        super().mousePressEvent(event)
        index = self.indexAt(event.pos())
        if event.button() != Qt.MouseButton.LeftButton or not index.isValid():
            return
        row = self.features.data_row(index)
        if index.column() == Column.PIN:
            self.pin_toggled.emit(row)
        elif index.column() == Column.STEER and self._can_drag(row):
            self._pressed = row, QRectF(self.visualRect(index)), event.pos()

    @guarded()
    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Drag the slider on which the button went down, wherever the pointer is now."""
        if self._pressed is None:
            super().mouseMoveEvent(event)
            return
        row, _, start = self._pressed
        far = (event.pos() - start).manhattanLength() >= QApplication.startDragDistance() // 2
        if self._dragging or far:
            self._dragging = True
            self.dragged.emit(row, self._value_at(event.pos()))

    @guarded()
    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """End a drag with its last value."""
        pressed, dragging = self._pressed, self._dragging
        value = self._value_at(event.pos()) if pressed is not None else 0.0
        self._pressed, self._dragging = None, False
        if pressed is not None and dragging and event.button() == Qt.MouseButton.LeftButton:
            self.committed.emit(pressed[0], value)
            return
        super().mouseReleaseEvent(event)

    @guarded()
    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        """Type a number, choose a mode, or remove a direction: that has no number."""
        index = self.indexAt(event.pos())
        if index.isValid() and index.column() in (Column.STEER, Column.VALUE):
            self._enter(self.features.data_row(index))
        else:
            super().mouseDoubleClickEvent(event)

    @guarded()
    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Delete releases, Return types a value, M chooses a mode, P pins, arrows move."""
        row, key = self.current_row, event.key()
        if key == Qt.Key.Key_Space:
            event.ignore()  # bypass: the window's
        elif row is None:
            super().keyPressEvent(event)
        elif key in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace):
            self.released.emit(row)
        elif key in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self._enter(row)
        elif key == Qt.Key.Key_M:
            self._edit(Column.MODE)
        elif key == Qt.Key.Key_P:
            self.pin_toggled.emit(row)
        elif key in (Qt.Key.Key_Left, Qt.Key.Key_Right):
            steps = -1 if key == Qt.Key.Key_Left else 1
            fast = event.modifiers() & Qt.KeyboardModifier.ShiftModifier
            self._nudge(row, steps * (5 if fast else 1))
        else:
            super().keyPressEvent(event)

    @guarded()
    def keyReleaseEvent(self, event: QKeyEvent) -> None:
        """End a movement by arrow keys: it is one step."""
        if (
            self._nudged is not None
            and not event.isAutoRepeat()
            and event.key() in (Qt.Key.Key_Left, Qt.Key.Key_Right)
        ):
            (row, value), self._nudged = self._nudged, None
            self.committed.emit(row, value)
            return
        super().keyReleaseEvent(event)

    @guarded()
    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        """Offer what can be done with the feature under the pointer."""
        index = self.indexAt(event.pos())
        if not index.isValid():
            return
        row = self.features.data_row(index)
        site, feature = self.features.columns.name_of(row)
        menu = QMenu(self)
        menu.addAction("Pin or unpin\tP", lambda: self.pin_toggled.emit(row))
        menu.addAction(
            f"Release {site} #{feature}\tDel".replace("&", "&&"),  # one would mark a key
            lambda: self.released.emit(row),
        )
        modes = menu.addMenu("Edit it by")
        assert modes is not None
        for mode, unit in MODES:
            modes.addAction(
                mode_words(mode, unit), lambda m=mode, u=unit: self.mode_chosen.emit(row, m, u)
            )
        menu.addAction("Act only when ...", lambda: self.condition_asked.emit(row))
        menu.addAction("Keep a reading at ...", lambda: self.control_asked.emit(row))
        menu.popup(event.globalPos())

    @guarded()
    def commitData(self, editor: QWidget) -> None:
        """Send a typed number on; the model itself is changed by the policy's answer only."""
        index = self.indexAt(editor.geometry().center())
        if not index.isValid():
            return
        row = self.features.data_row(index)
        if isinstance(editor, QDoubleSpinBox):
            editor.interpretText()
            self.committed.emit(row, editor.value())
        elif isinstance(editor, QComboBox):
            self.mode_chosen.emit(row, *MODES[editor.currentIndex()])

    @guarded()
    def selectionChanged(self, chosen: QItemSelection, left: QItemSelection) -> None:
        """Tell which feature is selected."""
        super().selectionChanged(chosen, left)
        row = self.current_row
        if row is not None and chosen.indexes():
            self.selected.emit(row)

    @guarded()
    def resizeEvent(self, event: QResizeEvent) -> None:
        """Show as many columns as there is room for."""
        super().resizeEvent(event)
        self.fit_columns()

    @guarded()
    def _on_resized(self, section: int, _before: int, width: int) -> None:
        if width > 0 and section != Column.STEER:
            self._widths[Column(section)] = width

    def _enter(self, row: int) -> None:
        slider = self.features.columns.slider(row)
        if slider.enabled and not slider.limit:
            self.mode_chosen.emit(row, slider.edit.mode, slider.edit.unit)
        elif slider.enabled:
            self._edit(Column.STEER)

    def _edit(self, column: Column) -> None:
        self.edit(self.features.index(self.currentIndex().row(), column))

    def _can_drag(self, row: int) -> bool:
        slider = self.features.columns.slider(row)
        return slider.enabled and slider.limit > 0

    def _value_at(self, at: QPoint) -> float:
        assert self._pressed is not None
        row, cell, _ = self._pressed
        limit = self.features.columns.slider(row).limit
        return float(f"{value_at(at.x(), cell, limit):.3g}")

    def _nudge(self, row: int, steps: int) -> None:
        if not self._can_drag(row):
            self.immovable.emit(row)
            return
        slider = self.features.columns.slider(row)
        start = (
            self._nudged[1]
            if self._nudged is not None
            else (0.0 if math.isnan(slider.commanded) else slider.commanded)
        )
        value = float(f"{start + steps * _NUDGE * slider.limit:.4g}")
        self._nudged = row, value
        self.dragged.emit(row, value)

    def _set_headers(self) -> None:
        rows, columns = self.verticalHeader(), self.horizontalHeader()
        assert rows is not None and columns is not None
        scale = max(em(QFontMetrics(self.font())), 1.0)
        rows.hide()
        rows.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        rows.setDefaultSectionSize(round(_ROW_HEIGHT * scale))
        columns.setHighlightSections(False)
        columns.setSectionsClickable(True)
        columns.setDefaultAlignment(
            Qt.Alignment(Qt.AlignmentFlag.AlignLeft) | Qt.AlignmentFlag.AlignVCenter
        )
        columns.setMinimumSectionSize(round(20 * scale))
        self._widths = {column: round(width * scale) for column, width in _WIDTHS.items()}
        for column, width in self._widths.items():
            self.setColumnWidth(column, width)
        columns.setSectionResizeMode(Column.STEER, QHeaderView.ResizeMode.Stretch)
        columns.sectionResized.connect(self._on_resized)
        columns.sectionClicked.connect(lambda section: self.features.sort_by_title(Column(section)))
