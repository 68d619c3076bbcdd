"""Boxes that the wheel changes only where they have the focus: scrolling past changes nothing."""

from __future__ import annotations

from PyQt5.QtCore import Qt
from PyQt5.QtGui import QWheelEvent
from PyQt5.QtWidgets import QComboBox, QDoubleSpinBox, QSpinBox

from vla_sae_ros.panel.widgets.guard import guarded


class QuietSpinBox(QSpinBox):
    """A spin box that leaves the wheel alone until it has the focus."""

    def __init__(self, most: int, zero: str = "") -> None:
        """Take 0 to `most`; 0 is shown as `zero` if that is given."""
        super().__init__()
        self.setRange(0, most)
        self.setSpecialValueText(zero)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)

    @guarded()
    def wheelEvent(self, event: QWheelEvent) -> None:
        """Pass the wheel on without the focus."""
        if self.hasFocus():
            super().wheelEvent(event)
        else:
            event.ignore()


class QuietComboBox(QComboBox):
    """A combo box that leaves the wheel alone until it has the focus."""

    def __init__(self) -> None:
        """Start empty."""
        super().__init__()
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)

    @guarded()
    def wheelEvent(self, event: QWheelEvent) -> None:
        """Pass the wheel on without the focus."""
        if self.hasFocus():
            super().wheelEvent(event)
        else:
            event.ignore()


class QuietSeconds(QDoubleSpinBox):
    """A box for a time that leaves the wheel alone until it has the focus."""

    def __init__(self, least: float, most: float, seconds: float) -> None:
        """Take `least` to `most` seconds, in tenths."""
        super().__init__()
        self.setRange(least, most)
        self.setDecimals(1)
        self.setSingleStep(0.1)
        self.setSuffix(" s")
        self.setValue(seconds)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)

    @guarded()
    def wheelEvent(self, event: QWheelEvent) -> None:
        """Pass the wheel on without the focus."""
        if self.hasFocus():
            super().wheelEvent(event)
        else:
            event.ignore()
