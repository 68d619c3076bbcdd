"""The table itself: dragging a slider, typing a value, releasing an edit."""

from __future__ import annotations

from PyQt5.QtCore import QPoint, QRectF, Qt, pyqtSignal
from PyQt5.QtGui import QKeyEvent, QMouseEvent
from PyQt5.QtWidgets import (
    QAbstractItemView,
    QApplication,
    QDoubleSpinBox,
    QHeaderView,
    QMenu,
    QTableView,
    QWidget,
)

from vla_sae_ros.panel.delegates import ActivationDelegate, SteeringDelegate, value_at
from vla_sae_ros.panel.guard import guarded
from vla_sae_ros.panel.table_model import Column, FeatureTableModel

_ROW_HEIGHT = 26
_WIDTHS = {Column.SITE: 95, Column.FEATURE: 70, Column.ACTIVATION: 180, Column.STEER: 240,
           Column.VALUE: 170}


class FeatureTable(QTableView):
    """Signals carry rows of the data, which re-sorting does not change."""

    dragged = pyqtSignal(int, float)
    """(row, value in observed maxima), while the mouse moves."""
    committed = pyqtSignal(int, float)
    """(row, value), when the mouse is released or a number was typed."""
    released = pyqtSignal(int)
    """(row): the edit is to be released."""

    def __init__(self, model: FeatureTableModel, parent: QWidget | None = None) -> None:
        """Show `model`."""
        super().__init__(parent)
        self._pressed: tuple[int, QRectF, QPoint] | None = None  # (data row, cell, where)
        self._dragging = False
        self.features = model
        self.setModel(model)
        self._activation, self._steering = ActivationDelegate(self), SteeringDelegate(self)
        self.setItemDelegateForColumn(Column.ACTIVATION, self._activation)
        self.setItemDelegateForColumn(Column.STEER, self._steering)
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
        return self._dragging or self.state() == QAbstractItemView.State.EditingState

    @property
    def under_pointer(self) -> bool:
        """The pointer is over the rows: none of them may move away under it."""
        viewport = self.viewport()
        return viewport is not None and viewport.underMouse()

    def visible_rows(self) -> tuple[int, int]:
        """Return the first and last view row on the screen."""
        first = self.rowAt(0)
        viewport = self.viewport()
        last = self.rowAt(viewport.height() - 1) if viewport else -1
        return max(first, 0), last if last >= 0 else self.features.rowCount() - 1

    @guarded()
    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Note where a drag may begin; a click alone changes nothing on a moving robot."""
        super().mousePressEvent(event)
        index = self.indexAt(event.pos())
        if event.button() != Qt.MouseButton.LeftButton or index.column() != Column.STEER:
            return
        row = self.features.data_row(index)
        if self.features.columns.can_steer(row):
            self._pressed = row, QRectF(self.visualRect(index)), event.pos()

    @guarded()
    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Drag the slider on which the button went down, wherever the pointer is now."""
        if self._pressed is None:
            super().mouseMoveEvent(event)
            return
        row, cell, start = self._pressed
        far = (event.pos() - start).manhattanLength() >= QApplication.startDragDistance() // 2
        if self._dragging or far:
            self._dragging = True
            self.dragged.emit(row, round(value_at(event.pos().x(), cell), 2))

    @guarded()
    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """End a drag with its last value."""
        pressed, dragging = self._pressed, self._dragging
        self._pressed, self._dragging = None, False
        if pressed is not None and dragging and event.button() == Qt.MouseButton.LeftButton:
            row, cell, _ = pressed
            self.committed.emit(row, round(value_at(event.pos().x(), cell), 2))
            return
        super().mouseReleaseEvent(event)

    @guarded()
    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Delete releases the selected feature, Return types a value for it."""
        index = self.currentIndex()
        if index.isValid() and event.key() in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace):
            self.released.emit(self.features.data_row(index))
        elif index.isValid() and event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.edit(self.features.index(index.row(), Column.STEER))
        else:
            super().keyPressEvent(event)

    @guarded()
    def contextMenuEvent(self, event) -> None:  # type: ignore[no-untyped-def]
        """Offer to release the feature under the pointer."""
        index = self.indexAt(event.pos())
        if not index.isValid():
            return
        row = self.features.data_row(index)
        site, feature = self.features.columns.name_of(row)
        menu = QMenu(self)
        menu.addAction(f"Release {site} #{feature}", lambda: self.released.emit(row))
        menu.popup(event.globalPos())

    @guarded()
    def commitData(self, editor: QWidget) -> None:
        """Send a typed number on; the model itself is changed by the policy's answer only."""
        index = self.indexAt(editor.geometry().center())
        if index.isValid() and isinstance(editor, QDoubleSpinBox):
            editor.interpretText()
            self.committed.emit(self.features.data_row(index), editor.value())

    def _set_headers(self) -> None:
        rows, columns = self.verticalHeader(), self.horizontalHeader()
        assert rows is not None and columns is not None
        rows.hide()
        rows.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        rows.setDefaultSectionSize(_ROW_HEIGHT)
        columns.setHighlightSections(False)
        columns.setDefaultAlignment(
            Qt.Alignment(Qt.AlignmentFlag.AlignLeft) | Qt.AlignmentFlag.AlignVCenter)
        for column, width in _WIDTHS.items():
            self.setColumnWidth(column, width)
        columns.setSectionResizeMode(Column.LABEL, QHeaderView.ResizeMode.Stretch)
        self.setSortingEnabled(True)
        self.sortByColumn(Column.ACTIVATION, Qt.SortOrder.DescendingOrder)
