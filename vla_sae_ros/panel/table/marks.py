"""The three marks of a slider: a disc for what was asked for, a diamond for what is applied, a
hollow triangle for what the feature does by itself. They differ in shape, not in colour alone."""

from __future__ import annotations

from PyQt5.QtCore import QPointF
from PyQt5.QtGui import QPainter, QPolygonF


def disc(painter: QPainter, x: float, y: float, em: float) -> None:
    """Draw "commanded" with the painter's pen and brush."""
    painter.drawEllipse(QPointF(x, y), 6.5 * em, 6.5 * em)


def diamond(painter: QPainter, x: float, y: float, em: float) -> None:
    """Draw "applied"."""
    tall, wide = 5.5 * em, 4.2 * em
    painter.drawPolygon(
        QPolygonF(
            [QPointF(x, y - tall), QPointF(x + wide, y), QPointF(x, y + tall), QPointF(x - wide, y)]
        )
    )


def triangle(painter: QPainter, x: float, y: float, em: float) -> None:
    """Draw "natural", its tip at (x, y)."""
    tall, wide = 6.5 * em, 4 * em
    painter.drawPolygon(
        QPolygonF([QPointF(x, y), QPointF(x - wide, y + tall), QPointF(x + wide, y + tall)])
    )
