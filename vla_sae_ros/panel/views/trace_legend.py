"""What the lines and the shade of the traces mean, drawn as they are drawn."""

from __future__ import annotations

from PyQt5.QtCore import QPointF, QRectF, Qt
from PyQt5.QtGui import QFontMetricsF, QPainter, QPaintEvent, QPen
from PyQt5.QtWidgets import QSizePolicy, QWidget

from vla_sae_ros.panel.views.plot_inks import PlotInks
from vla_sae_ros.panel.widgets.guard import guarded

_LEFT = int(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
_SAMPLE = 24.0  # [pixels]


class TraceLegend(QWidget):
    """One line; entries that do not fit are left out from the right."""

    def __init__(self) -> None:
        """Take one line of height."""
        super().__init__()
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.setFixedHeight(round(QFontMetricsF(self.font()).height()) + 6)

    @guarded()
    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the entries."""
        painter = QPainter(self)
        try:
            inks, metrics = PlotInks.of(self.palette()), QFontMetricsF(self.font())
            x, middle = 6.0, self.height() / 2
            for words, draw in (
                ("applied", QPen(inks.applied, 2)),
                ("natural", QPen(inks.natural, 1.5, Qt.PenStyle.DashLine)),
                ("under an edit", inks.edited),
                ("dotted: observed maximum", None),
            ):
                width = metrics.horizontalAdvance(words)
                sample = _SAMPLE if draw is not None else 0.0
                if x + sample + width + 6 > self.width():
                    return
                if isinstance(draw, QPen):
                    painter.setPen(draw)
                    painter.drawLine(QPointF(x, middle), QPointF(x + _SAMPLE - 6, middle))
                elif draw is not None:
                    painter.fillRect(QRectF(x, 3, _SAMPLE - 6, self.height() - 6), draw)
                painter.setPen(self.palette().color(self.foregroundRole()))
                painter.drawText(QRectF(x + sample, 0, width + 2, self.height()), _LEFT, words)
                x += sample + width + 16
        finally:
            painter.end()
