"""What the marks on a slider mean, drawn with the marks themselves."""

from __future__ import annotations

from PyQt5.QtCore import QPointF
from PyQt5.QtGui import QColor, QFontMetrics, QPainter, QPaintEvent, QPalette, QPolygonF
from PyQt5.QtWidgets import QSizePolicy, QWidget

from vla_sae_ros.panel.delegates import ACTIVE, EDITED
from vla_sae_ros.panel.guard import guarded

_KEYS = "drag: clamp   double click: type   Del: release one   click a title: sort"


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
        ink = self.palette().color(QPalette.ColorRole.WindowText)
        x, y = 10.0, self.height() / 2
        for word, colour, shape in (("commanded", EDITED, _disc), ("applied", ACTIVE, _diamond),
                                    ("natural", QColor(0, 0, 0, 0), _triangle)):
            painter.setPen(ink)
            painter.setBrush(colour)
            shape(painter, QPointF(x, y))
            painter.drawText(QPointF(x + 12, y + 5), word)
            x += 12 + QFontMetrics(self.font()).horizontalAdvance(word) + 28
        painter.setPen(ink)
        painter.drawText(QPointF(x + 10, y + 5), _KEYS)
        painter.end()


def _disc(painter: QPainter, at: QPointF) -> None:
    painter.drawEllipse(at, 6, 6)


def _diamond(painter: QPainter, at: QPointF) -> None:
    x, y = at.x(), at.y()
    painter.drawPolygon(QPolygonF([QPointF(x, y - 6), QPointF(x + 5, y), QPointF(x, y + 6),
                                   QPointF(x - 5, y)]))


def _triangle(painter: QPainter, at: QPointF) -> None:
    x, y = at.x(), at.y()
    painter.drawPolygon(QPolygonF([QPointF(x, y - 4), QPointF(x - 5, y + 4),
                                   QPointF(x + 5, y + 4)]))
