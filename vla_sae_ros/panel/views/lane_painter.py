"""How lanes, their curves and the time axis are drawn."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product

import numpy as np
import numpy.typing as npt
from PyQt5.QtCore import QPointF, QRectF, Qt
from PyQt5.QtGui import QFont, QFontMetricsF, QPainter, QPen

from vla_sae_ros.panel.views.plot_inks import PlotInks
from vla_sae_ros.panel.views.time_window import TimeWindow, tick_step
from vla_sae_ros.panel.views.trace import EventMark, Lane
from vla_sae_ros.panel.widgets.polyline import polyline, runs, thin_pen, usual_gap

_LEFT = int(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
_RIGHT = int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
_CENTRE = int(Qt.AlignmentFlag.AlignCenter)
_LANE_GAP = 3.0  # [pixels] free above and below a lane's curves
_SAME = 0.5  # [pixels] natural and applied are drawn apart from here on


class LanePainter:
    """Draws into one rectangle; `area` is where the curves lie."""

    def __init__(self, whole: QRectF, font: QFont, inks: PlotInks, window: TimeWindow) -> None:
        """Lay out labels on the left, values on the right and the time axis below."""
        self._metrics = QFontMetricsF(font)
        self._line = self._metrics.height()
        self._inks, self._window = inks, window
        labels = min(max(whole.width() * 0.28, 90.0), 18 * self._line)
        values = self._metrics.horizontalAdvance("-00.00") + 8
        self.area = whole.adjusted(labels, self._line + 2, -values, -self._line - 4)
        self._labels = QRectF(4, self.area.top(), labels - 8, self.area.height())
        self._left, self._right = 0.0, 1.0

    def draw(
        self, painter: QPainter, traces: Sequence[Lane], marks: Sequence[EventMark], newest: float
    ) -> None:
        """Draw everything."""
        self._left, self._right = self._window.edges(newest)
        self._draw_axis(painter, newest)
        height = self.area.height() / len(traces)
        for number, trace in enumerate(traces):
            lane = QRectF(
                self.area.left(), self.area.top() + number * height, self.area.width(), height
            )
            self._draw_lane(painter, lane, trace)
        self._draw_marks(painter, marks)

    def _x(self, time: float) -> float:
        share = (time - self._left) / (self._right - self._left)
        return self.area.left() + share * self.area.width()

    def _draw_axis(self, painter: QPainter, newest: float) -> None:
        room = max(int(self.area.width() / self._metrics.horizontalAdvance("-00.0 s ")), 1)
        step = tick_step(self._right - self._left, min(room, 10))
        first = int(np.ceil((self._left - newest) / step))
        last = int(np.floor((self._right - newest) / step + 1e-9))
        for number in range(first, last + 1):
            x = self._x(newest + number * step)
            painter.setPen(self._inks.faint)
            painter.drawLine(QPointF(x, self.area.top()), QPointF(x, self.area.bottom()))
            painter.setPen(self._inks.text)
            text = "now" if number == 0 else f"{number * step:g} s"
            half = self._metrics.horizontalAdvance(text) / 2 + 2
            painter.drawText(
                QRectF(x - half, self.area.bottom() + 2, 2 * half, self._line), _CENTRE, text
            )

    def _draw_lane(self, painter: QPainter, lane: QRectF, trace: Lane) -> None:
        low, high = trace.bounds()
        inside = lane.adjusted(0, _LANE_GAP, 0, -_LANE_GAP)

        def y(value: float) -> float:
            return inside.bottom() - (value - low) / (high - low) * inside.height()

        for begin, end in trace.windows:
            left, right = max(self._x(begin), lane.left()), min(self._x(end), lane.right())
            if right > left:
                painter.fillRect(
                    QRectF(left, lane.top(), right - left, lane.height()), self._inks.edited
                )
        if trace.mark is not None:
            painter.setPen(QPen(self._inks.faint, 1, Qt.PenStyle.DotLine))
            height = y(trace.mark)
            painter.drawLine(QPointF(lane.left(), height), QPointF(lane.right(), height))
        if low <= 0 <= high:
            painter.setPen(self._inks.faint)
            painter.drawLine(QPointF(lane.left(), y(0.0)), QPointF(lane.right(), y(0.0)))
        painter.save()
        painter.setClipRect(lane)
        self._draw_curves(painter, inside, low, high, trace)
        painter.restore()
        self._draw_words(painter, lane, trace, high)

    def _draw_curves(
        self, painter: QPainter, inside: QRectF, low: float, high: float, trace: Lane
    ) -> None:
        gap = usual_gap(trace.time)  # one more point on either side: a line enters and leaves
        shown = (trace.time >= self._left - gap) & (trace.time <= self._right + gap)
        time = trace.time[shown]
        x = self.area.left() + (time - self._left) * (
            self.area.width() / (self._right - self._left)
        )
        scale = inside.height() / (high - low)
        dashed, solid = (
            inside.bottom() - (values[shown] - low) * scale
            for values in (trace.dashed, trace.solid)
        )
        differ = ~(np.abs(dashed - solid) <= _SAME)  # also where the solid one is not known
        differ[:-1] |= differ[1:]
        differ &= np.isfinite(dashed)
        painter.setPen(thin_pen(self._inks.natural, Qt.PenStyle.DashLine))
        for part in runs(time, gap):
            for stretch in _stretches(differ, part):
                painter.drawPolyline(polyline(x[stretch], dashed[stretch]))
        painter.setPen(thin_pen(self._inks.applied))
        known = [each for part in runs(time, gap) for each in _stretches(np.isfinite(solid), part)]
        for part, shift in product(known, _shifts(painter)):
            painter.drawPolyline(polyline(x[part], solid[part] + shift))

    def _draw_words(self, painter: QPainter, lane: QRectF, trace: Lane, high: float) -> None:
        box = QRectF(self._labels.left(), lane.top(), self._labels.width(), lane.height())
        lines = [trace.title, trace.label] if trace.label else [trace.title]
        if lane.height() < 2 * self._line:
            lines = ["  ".join(lines)]
        top = box.center().y() - self._line * len(lines) / 2
        painter.setPen(self._inks.text)
        for number, words in enumerate(lines):
            shown = self._metrics.elidedText(words, Qt.TextElideMode.ElideRight, box.width())
            line = QRectF(box.left(), top + number * self._line, box.width(), self._line)
            painter.drawText(line, _LEFT, shown)
        if len(trace.solid):
            painter.setPen(self._inks.alarm if trace.alarming else self._inks.applied)
            right = QRectF(
                lane.right() + 2,
                lane.top(),
                self._metrics.horizontalAdvance("-00.00"),
                lane.height(),
            )
            newest = float(trace.solid[-1])
            painter.drawText(right, _RIGHT, f"{newest:.2f}" if math.isfinite(newest) else "-")
        scale = trace.top(high)
        if scale and lane.height() > 1.6 * self._line:
            painter.setPen(self._inks.natural)
            painter.drawText(
                QRectF(lane.left() + 3, lane.top(), lane.width(), self._line),
                _LEFT,
                scale,
            )
        painter.setPen(self._inks.faint)
        painter.drawLine(QPointF(0, lane.bottom()), QPointF(lane.right(), lane.bottom()))

    def _draw_marks(self, painter: QPainter, marks: Sequence[EventMark]) -> None:
        """Draw every line, and the words of those for which there is room: alarming ones first."""
        taken: list[tuple[float, float]] = []
        shown = [mark for mark in marks if self._left <= mark.time <= self._right]
        for mark in sorted(shown, key=lambda mark: (not mark.alarming, mark.time)):
            x = self._x(mark.time)
            colour = self._inks.alarm if mark.alarming else self._inks.text
            painter.setPen(QPen(colour, 1, Qt.PenStyle.DashDotLine))
            painter.drawLine(QPointF(x, 4), QPointF(x, self.area.bottom()))
            width = self._metrics.horizontalAdvance(mark.text)
            begin = x + 3 if x + 3 + width < self.area.right() else x - 3 - width
            if all(begin > right or begin + width < left for left, right in taken):
                painter.drawText(QPointF(begin, self._metrics.ascent()), mark.text)
                taken.append((begin - 5, begin + width + 5))


def _shifts(painter: QPainter) -> list[float]:
    """Return offsets [pixels] of lines of one device pixel that together look 1.6 pixels wide."""
    device = painter.device()
    ratio = device.devicePixelRatioF() if device is not None else 1.0
    count = max(round(1.6 * ratio), 1)
    return [0.6 * number / ratio for number in range(count)]


def _stretches(chosen: npt.NDArray[np.bool_], part: slice) -> list[slice]:
    """Return the unbroken runs of True within `part`."""
    padded = np.concatenate([[False], chosen[part], [False]])
    edges = np.flatnonzero(padded[1:] != padded[:-1]).reshape(-1, 2)
    return [slice(part.start + begin, part.start + end) for begin, end in edges.tolist()]
