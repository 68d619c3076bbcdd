"""All features over the last inferences as one picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PyQt5.QtCore import QEvent, QPoint, QPointF, QRectF, QSize, Qt, pyqtSignal
from PyQt5.QtGui import (
    QColor,
    QFontMetricsF,
    QHelpEvent,
    QImage,
    QLinearGradient,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QPolygonF,
)
from PyQt5.QtWidgets import QSizePolicy, QToolTip, QWidget

from vla_sae_ros.panel.views.plot_inks import PlotInks
from vla_sae_ros.panel.views.raster_columns import ShadeRing, row_starts, shades
from vla_sae_ros.panel.views.shade_map import shade_colours
from vla_sae_ros.panel.widgets.guard import guarded
from vla_sae_ros.panel.widgets.inks import EDITED

_CENTRE = int(Qt.AlignmentFlag.AlignCenter)
_LEFT = int(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
_RIGHT = int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
_EMPTY = "No features yet. They come with the policy's catalogue."
_MARK = 9.0  # [pixels] of the triangle beside the selected feature's row


@dataclass(frozen=True)
class Spot:
    """Some neighbouring features at one inference: what lies under one pixel.

    Attributes:
        first, last: features first to last - 1, as numbered by `Raster.set_features`.
        age: inferences ago, 0 = the newest.
    """

    first: int
    last: int
    age: int


class Raster(QWidget):
    """Features downwards, inferences to the right, the newest at the right edge."""

    clicked = pyqtSignal(object)
    """(Spot)"""

    def __init__(self, describe: Callable[[Spot], str]) -> None:
        """Start without features; `describe` words the tooltip of a spot."""
        super().__init__()
        self._describe = describe
        self._count, self._inferences = 0, 4
        self._sites: tuple[tuple[str, int], ...] = ()
        self._starts = row_starts(0, 1)
        self._ring = ShadeRing(0, 4)
        self._made_for = (0, 0)
        self._selected: int | None = None
        self._seconds = 0.0
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setAccessibleName("Raster of all features")

    def sizeHint(self) -> QSize:
        """Leave room for a few hundred rows."""
        return QSize(560, 260)

    def minimumSizeHint(self) -> QSize:
        """Stay legible."""
        return QSize(280, 120)

    def set_features(self, count: int, sites: Sequence[tuple[str, int]], columns: int) -> None:
        """Start anew with `count` features.

        Args:
            count: R.
            sites: (name, number of its first feature), ascending.
            columns: inferences to show; fewer where the widget has fewer pixels.
        """
        self._count, self._sites, self._inferences = count, tuple(sites), columns
        self._made_for = rows, columns = self._pixels()
        self._starts = row_starts(count, rows)
        self._ring = ShadeRing(len(self._starts), columns)
        self.update()

    @property
    def outgrown(self) -> bool:
        """The widget has not the size its pixels were made for: call `set_features`."""
        return self._made_for != self._pixels()

    @property
    def columns(self) -> int:
        """Inferences that are shown."""
        return self._ring.columns

    @property
    def filled(self) -> bool:
        """At least one inference is drawn."""
        return self._ring.written > 0

    def append(self, values: npt.NDArray[np.floating]) -> None:
        """Add the newest inference: (R,) activations in observed maxima."""
        if self._count:
            self._ring.append(shades(values, self._starts))
            self.update()

    def rewrite(self, values: npt.NDArray[np.floating]) -> None:
        """Draw the newest inference anew: more of its sites have come."""
        if self._count:
            self._ring.rewrite(shades(values, self._starts))
            self.update()

    def annotate(self, selected: int | None, seconds: float) -> None:
        """Mark a feature, and say how many seconds the columns span."""
        if (selected, seconds) != (self._selected, self._seconds):
            self._selected, self._seconds = selected, seconds
            self.update()

    def spot_at(self, at: QPoint) -> Spot | None:
        """Return what lies under a pixel of the widget."""
        area = self._area()
        if not self._count or not area.contains(QPointF(at)):
            return None
        row = int((at.y() - area.top()) / area.height() * len(self._starts))
        column = int((at.x() - area.left()) / area.width() * self._ring.columns)
        last = self._starts[row + 1] if row + 1 < len(self._starts) else self._count
        return Spot(int(self._starts[row]), int(last), self._ring.columns - 1 - column)

    @guarded()
    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the picture, the sites, the axis and the colours."""
        painter = QPainter(self)
        try:
            inks = PlotInks.of(self.palette())
            painter.fillRect(self.rect(), inks.ground)
            painter.setPen(inks.text)
            if not self._count:
                painter.drawText(QRectF(self.rect()), _CENTRE, _EMPTY)
                return
            self._draw_pixels(painter)
            self._draw_sites(painter, inks)
            self._draw_axis(painter, inks)
            self._draw_selected(painter, inks)
        finally:
            painter.end()

    @guarded()
    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Choose the spot."""
        spot = self.spot_at(event.pos())
        if spot is not None and event.button() == Qt.MouseButton.LeftButton:
            self.clicked.emit(spot)

    @guarded(False)
    def event(self, event: QEvent) -> bool:
        """Show a tooltip for the spot under the pointer."""
        if isinstance(event, QHelpEvent) and event.type() == QEvent.Type.ToolTip:
            spot = self.spot_at(event.pos())
            QToolTip.showText(event.globalPos(), self._describe(spot) if spot else "", self)
            return True
        return bool(super().event(event))

    def _line(self) -> float:
        return QFontMetricsF(self.font()).height()

    def _area(self) -> QRectF:
        names = [QFontMetricsF(self.font()).horizontalAdvance(name) for name, _ in self._sites]
        left = min(max(names, default=0.0) + 14, self.width() * 0.3)
        return QRectF(self.rect()).adjusted(left, 2, -_MARK - 4, -self._line() - 6)

    def _pixels(self) -> tuple[int, int]:
        """Return the most rows and columns that the widget can show one by one."""
        area, ratio = self._area(), self.devicePixelRatioF()
        return (
            max(int(area.height() * ratio), 1),
            max(min(self._inferences, int(area.width() * ratio)), 4),
        )

    def _draw_pixels(self, painter: QPainter) -> None:
        ring, area = self._ring, self._area()
        rows, columns = ring.pixels.shape
        data: Any = ring.pixels.data
        image = QImage(data, columns, rows, columns, QImage.Format.Format_Indexed8)
        image.setColorTable(shade_colours(self.palette()))
        older = columns - ring.split
        width = area.width() / columns
        for source, count, at in ((ring.split, older, 0), (0, ring.split, older)):
            target = QRectF(area.left() + at * width, area.top(), count * width, area.height())
            if count:
                painter.drawImage(target, image, QRectF(source, 0, count, rows))

    def _draw_sites(self, painter: QPainter, inks: PlotInks) -> None:
        area, metrics = self._area(), QFontMetricsF(self.font())
        firsts = [first for _, first in self._sites] + [self._count]
        for number, (name, first) in enumerate(self._sites):
            top = self._y(first)
            middle = (top + self._y(firsts[number + 1])) / 2
            box = QRectF(4, middle - self._line() / 2, area.left() - 10, self._line())
            painter.setPen(inks.text)
            painter.drawText(
                box, _RIGHT, metrics.elidedText(name, Qt.TextElideMode.ElideRight, box.width())
            )
            painter.setPen(inks.natural if number else inks.faint)
            painter.drawLine(QPointF(4, top), QPointF(area.right(), top))

    def _draw_axis(self, painter: QPainter, inks: PlotInks) -> None:
        area = self._area()
        below = QRectF(area.left(), area.bottom() + 3, area.width(), self._line())
        painter.setPen(inks.text)
        painter.drawText(below, _RIGHT, "now")
        if self._seconds > 0:
            painter.drawText(below, _LEFT, f"-{self._seconds:.1f} s")
        words = QFontMetricsF(self.font()).horizontalAdvance("observed max")
        if area.width() < 4 * words:
            return
        bar = QRectF(
            below.center().x() - words, below.top() + 3, 2 * words / 1.6, below.height() - 6
        )
        gradient = QLinearGradient(bar.topLeft(), bar.topRight())
        for place in range(0, 256, 15):
            gradient.setColorAt(place / 255, QColor(shade_colours(self.palette())[place]))
        painter.fillRect(bar, gradient)
        painter.setPen(inks.faint)
        painter.drawRect(bar)
        painter.setPen(inks.text)
        zero = QRectF(bar.left() - 30, below.top(), 26, below.height())
        painter.drawText(zero, _RIGHT, "0")
        painter.drawText(
            QRectF(bar.right() + 5, below.top(), 2 * words, below.height()), _LEFT, "observed max"
        )

    def _draw_selected(self, painter: QPainter, inks: PlotInks) -> None:
        if self._selected is None:
            return
        y, area = self._y(self._selected + 0.5), self._area()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(inks.text, 1))
        painter.setBrush(EDITED)
        for tip, base in (
            (area.left() - 1, area.left() - _MARK),
            (area.right() + 1, area.right() + _MARK),
        ):
            painter.drawPolygon(
                QPolygonF(
                    [
                        QPointF(tip, y),
                        QPointF(base, y - _MARK / 1.5),
                        QPointF(base, y + _MARK / 1.5),
                    ]
                )
            )

    def _y(self, feature: float) -> float:
        area = self._area()
        return area.top() + feature / self._count * area.height()
