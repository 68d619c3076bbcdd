"""Keys that move the arm by hand, while this panel has taken over and has the keyboard."""

from __future__ import annotations

from typing import Protocol

from PyQt5.QtCore import QEvent, QObject, Qt
from PyQt5.QtGui import QKeyEvent
from PyQt5.QtWidgets import (
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QLineEdit,
    QPlainTextEdit,
    QTextEdit,
    QWidget,
)

from vla_sae_ros.panel.state.values import TakeoverView
from vla_sae_ros.panel.widgets.guard import guarded

SPEED = 0.06
"""[m/s] along each axis of a key that is held."""

MOVES: dict[int, tuple[float, float, float]] = {
    int(Qt.Key.Key_W): (1.0, 0.0, 0.0),
    int(Qt.Key.Key_S): (-1.0, 0.0, 0.0),
    int(Qt.Key.Key_A): (0.0, 1.0, 0.0),
    int(Qt.Key.Key_D): (0.0, -1.0, 0.0),
    int(Qt.Key.Key_R): (0.0, 0.0, 1.0),
    int(Qt.Key.Key_F): (0.0, 0.0, -1.0),
}
"""Key -> direction in the arm's base frame: x forward, y left, z up."""
GRIPPER = Qt.Key.Key_G
_TYPES = (QLineEdit, QAbstractSpinBox, QPlainTextEdit, QTextEdit, QComboBox)
"""Where letters are typed, and stay letters."""


class Mover(Protocol):
    """What carries the wishes on; Commands does."""

    owner: str

    def move_by_hand(self, linear: tuple[float, float, float]) -> None: ...
    def grip_by_hand(self, closing: float) -> None: ...


class HandKeys(QObject):
    """Watches whatever in the panel has the keyboard; a key counts only while it is held there."""

    def __init__(self, panel: QWidget, mover: Mover) -> None:
        """Begin with every key up."""
        super().__init__(panel)
        self._panel, self._mover = panel, mover
        self._down: set[int] = set()
        self._active = self._closed = False
        self._watched: QWidget | None = None
        app = QApplication.instance()
        assert isinstance(app, QApplication)
        app.focusChanged.connect(self._focus_moved)
        self._focus_moved(None, QApplication.focusWidget())

    def send(self, takeover: TakeoverView | None) -> None:
        """Say once a frame what is held: nothing held is "stand still"."""
        mine = takeover is not None and takeover.taken_over and takeover.owner == self._mover.owner
        if mine != self._active:
            self._active, self._closed = mine, False
            self._down.clear()
        if mine:
            self._mover.move_by_hand(self.linear)

    @property
    def linear(self) -> tuple[float, float, float]:
        """Return the tool velocity that is asked for [m/s]."""
        held = [MOVES[key] for key in self._down]
        x, y, z = (SPEED * sum(each[axis] for each in held) for axis in range(3))
        return x, y, z

    @guarded()
    def _focus_moved(self, _old: QWidget | None, new: QWidget | None) -> None:
        """Let every key up: nobody here would see it go up elsewhere."""
        self._down.clear()
        if self._watched is not None:
            self._watched.removeEventFilter(self)
        inside = new is not None and (new is self._panel or self._panel.isAncestorOf(new))
        self._watched = new if inside and not isinstance(new, _TYPES) else None
        if self._watched is not None:
            self._watched.installEventFilter(self)
            self._watched.destroyed.connect(self._forget)

    def _forget(self) -> None:
        self._watched = None

    def eventFilter(self, _watched: QObject | None, event: QEvent | None) -> bool:
        """Take the keys that move the arm; every other one goes where it always goes."""
        if not self._active or not isinstance(event, QKeyEvent):
            return False
        key = event.key()
        if key not in MOVES and key != GRIPPER:
            return False
        if event.type() == QEvent.Type.KeyRelease and not event.isAutoRepeat():
            self._down.discard(key)
        elif event.modifiers() != Qt.KeyboardModifier.NoModifier:
            return False
        elif event.type() == QEvent.Type.KeyPress and not event.isAutoRepeat():
            self._pressed(key)
        return True

    @guarded()
    def _pressed(self, key: int) -> None:
        if key == GRIPPER:
            self._closed = not self._closed
            self._mover.grip_by_hand(float(self._closed))
        else:
            self._down.add(key)
