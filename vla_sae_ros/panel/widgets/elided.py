"""A line of text that fits any width."""

from __future__ import annotations

from PyQt5.QtCore import Qt
from PyQt5.QtGui import QFontMetrics, QPainter, QPaintEvent, QPalette
from PyQt5.QtWidgets import QSizePolicy, QWidget

from vla_sae_ros.panel.widgets.guard import guarded
from vla_sae_ros.panel.widgets.plain_text import plain_tip


class Elided(QWidget):
    """One line of text that ends in an ellipsis instead of widening the window."""

    def __init__(self) -> None:
        """Start empty."""
        super().__init__()
        self._text, self._warning = "", False
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.setFixedHeight(QFontMetrics(self.font()).height() + 8)

    @property
    def text(self) -> str:
        """The whole text."""
        return self._text

    @property
    def warning(self) -> bool:
        """The text stands out as a warning."""
        return self._warning

    def show_text(self, text: str, warning: bool = False) -> None:
        """Show `text`; a warning stands out."""
        if (text, warning) != (self._text, self._warning):
            self._text, self._warning = text, warning
            self.setToolTip(plain_tip(text))
            self.update()

    @guarded()
    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the line."""
        painter = QPainter(self)
        area = self.rect()
        if self._warning:
            painter.fillRect(area, Qt.GlobalColor.darkRed)
            painter.setPen(Qt.GlobalColor.white)
        else:
            painter.setPen(self.palette().color(QPalette.ColorRole.WindowText))
        shown = QFontMetrics(self.font()).elidedText(
            self._text, Qt.TextElideMode.ElideRight, area.width() - 8
        )
        painter.drawText(area.adjusted(4, 0, -4, 0), int(Qt.AlignmentFlag.AlignVCenter), shown)
        painter.end()
