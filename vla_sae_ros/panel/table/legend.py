"""What the marks on a slider mean, drawn with the marks themselves."""

from __future__ import annotations

from PyQt5.QtCore import QPointF
from PyQt5.QtGui import QColor, QFontMetrics, QPainter, QPaintEvent, QPalette
from PyQt5.QtWidgets import QSizePolicy, QWidget

from vla_sae_ros.panel.table.marks import diamond, disc, triangle
from vla_sae_ros.panel.widgets.guard import guarded
from vla_sae_ros.panel.widgets.inks import EDITED, active_ink, em

_WORDS = "hatched: not confirmed yet      drag: edit    Enter: type    Del: release    F1: all keys"


class Legend(QWidget):
    """One line below the table."""

    def __init__(self) -> None:
        """Take one line of height."""
        super().__init__()
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.setFixedHeight(QFontMetrics(self.font()).height() + 10)

    @guarded()
    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw marks and words."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        metrics = QFontMetrics(self.font())
        size, ink = em(metrics), self.palette().color(QPalette.ColorRole.WindowText)
        x, y = 16.0 * size, self.height() / 2
        baseline = y + metrics.ascent() / 2 - 1
        nothing = QColor(0, 0, 0, 0)
        for word, colour, shape in (
            ("asked for", EDITED, disc),
            ("applied", active_ink(self.palette()), diamond),
            ("natural", nothing, triangle),
        ):
            painter.setPen(ink)
            painter.setBrush(colour)
            shape(painter, x, y - 3 * size if shape is triangle else y, size)
            painter.drawText(QPointF(x + 12 * size, baseline), word)
            x += 12 * size + metrics.horizontalAdvance(word) + 24 * size
        painter.drawText(QPointF(x, baseline), _WORDS)
        painter.end()
