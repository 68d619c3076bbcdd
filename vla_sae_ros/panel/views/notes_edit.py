"""A text of several lines that says when its editing ends."""

from __future__ import annotations

from PyQt5.QtCore import Qt, pyqtSignal
from PyQt5.QtGui import QFocusEvent, QKeyEvent
from PyQt5.QtWidgets import QPlainTextEdit

from vla_sae_ros.panel.widgets.guard import guarded


class NotesEdit(QPlainTextEdit):
    """Editing ends when the focus leaves, or with Ctrl+Return; Tab leaves."""

    editing_finished = pyqtSignal()

    def __init__(self) -> None:
        """Start empty, four lines high."""
        super().__init__()
        self.setTabChangesFocus(True)
        self.setFixedHeight(5 * self.fontMetrics().height())
        self.setPlaceholderText("Notes about the feature")
        self.setAccessibleName("Notes about the feature")

    @guarded()
    def focusOutEvent(self, event: QFocusEvent) -> None:
        """End the editing."""
        super().focusOutEvent(event)
        self.editing_finished.emit()

    @guarded()
    def keyPressEvent(self, event: QKeyEvent) -> None:
        """End the editing with Ctrl+Return."""
        enter = event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter)
        if enter and event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            self.editing_finished.emit()
        else:
            super().keyPressEvent(event)
