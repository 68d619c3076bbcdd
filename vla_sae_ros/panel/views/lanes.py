"""Traces of a few features, one lane each, over observation time.

Painted here and not with pyqtgraph: importing that takes longer than the whole panel may take to
open (docs/benchmarks.md).
"""

from __future__ import annotations

from collections.abc import Sequence

from PyQt5.QtCore import QPointF, QRectF, QSize, Qt, pyqtSignal
from PyQt5.QtGui import QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QWheelEvent
from PyQt5.QtWidgets import QSizePolicy, QWidget

from vla_sae_ros.panel.views.lane_painter import LanePainter
from vla_sae_ros.panel.views.plot_inks import PlotInks
from vla_sae_ros.panel.views.time_window import TimeWindow
from vla_sae_ros.panel.views.trace import EventMark, Lane, Trace
from vla_sae_ros.panel.widgets.guard import guarded

_WHEEL_ZOOM = 0.8
"""Factor of the stretch per notch of the wheel."""
_EMPTY = (
    "No feature is pinned. Pin features in the table (key P) and their activations are drawn here."
)


class Lanes(QWidget):
    """Wheel: zoom in time; drag: move; double click: follow the newest again."""

    held_changed = pyqtSignal(bool)
    chosen = pyqtSignal(str, int)
    """(site, feature) of a lane that was clicked."""

    def __init__(self) -> None:
        """Start empty, following the newest observation."""
        super().__init__()
        self.window_of_time = TimeWindow()
        self.traces: tuple[Lane, ...] = ()
        self._marks: tuple[EventMark, ...] = ()
        self._newest = 0.0
        self._pressed: QPointF | None = None
        self._moved = False
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setAccessibleName("Traces of the pinned features")

    def sizeHint(self) -> QSize:
        """Leave room for a few lanes."""
        return QSize(560, 260)

    def minimumSizeHint(self) -> QSize:
        """Stay usable with two lanes."""
        return QSize(320, 120)

    def show_traces(
        self, traces: Sequence[Lane], marks: Sequence[EventMark], newest: float
    ) -> None:
        """Draw these; a held plot keeps what it shows.

        Args:
            traces: at most a dozen.
            marks: events within or near the stretch of time.
            newest: [s] observation time of the newest message.
        """
        if self.window_of_time.held and self.traces:
            return
        self.traces, self._marks, self._newest = tuple(traces), tuple(marks), newest
        self.update()

    def hold(self, held: bool) -> None:
        """Stand still, or follow the newest observation again."""
        if held:
            self.window_of_time.hold(self._newest)
        else:
            self.window_of_time.follow()
        self._window_changed()

    @guarded()
    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw all lanes and the axis."""
        painter = QPainter(self)
        try:
            inks = PlotInks.of(self.palette())
            painter.fillRect(self.rect(), inks.ground)
            if not self.traces:
                painter.setPen(inks.text)
                flags = int(Qt.AlignmentFlag.AlignCenter) | int(Qt.TextFlag.TextWordWrap)
                painter.drawText(QRectF(self.rect()).adjusted(12, 12, -12, -12), flags, _EMPTY)
                return
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            self._lane_painter(inks).draw(painter, self.traces, self._marks, self._newest)
        finally:
            painter.end()

    @guarded()
    def wheelEvent(self, event: QWheelEvent) -> None:
        """Zoom around the pointer."""
        notches = event.angleDelta().y() / 120
        area = self._plot_area()
        share = min(max((event.position().x() - area.left()) / max(area.width(), 1.0), 0.0), 1.0)
        self.window_of_time.zoom(_WHEEL_ZOOM**notches, share, self._newest)
        self._window_changed()
        event.accept()

    @guarded()
    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Take hold of the time axis."""
        if event.button() == Qt.MouseButton.LeftButton:
            self._pressed, self._moved = QPointF(event.pos()), False

    @guarded()
    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Drag the time axis; a trembling click does not."""
        if self._pressed is None:
            return
        pixels = event.pos().x() - self._pressed.x()
        if not self._moved and abs(pixels) < 4:
            return
        self._moved, self._pressed = True, QPointF(event.pos())
        seconds = pixels / max(self._plot_area().width(), 1.0) * self.window_of_time.span
        self.window_of_time.move(-seconds, self._newest)
        self._window_changed()

    @guarded()
    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """A click chooses the lane's feature."""
        clicked, self._pressed = self._pressed is not None and not self._moved, None
        area = self._plot_area()
        if not clicked or not self.traces or not area.top() <= event.pos().y() < area.bottom():
            return
        lane = self.traces[int((event.pos().y() - area.top()) / area.height() * len(self.traces))]
        if isinstance(lane, Trace):
            self.chosen.emit(*lane.name)

    @guarded()
    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        """Follow the newest again."""
        self.hold(False)

    @guarded()
    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Arrows move, plus and minus zoom, End follows the newest again."""
        window, key = self.window_of_time, event.key()
        if key in (Qt.Key.Key_Plus, Qt.Key.Key_Equal, Qt.Key.Key_Minus):
            factor = 1 / _WHEEL_ZOOM if key == Qt.Key.Key_Minus else _WHEEL_ZOOM
            window.zoom(factor, 1.0, self._newest)
        elif key in (Qt.Key.Key_Left, Qt.Key.Key_Right):
            direction = -1 if key == Qt.Key.Key_Left else 1
            window.move(direction * window.span / 10, self._newest)
        elif key == Qt.Key.Key_End:
            window.follow()
        else:
            super().keyPressEvent(event)
            return
        self._window_changed()

    def _window_changed(self) -> None:
        self.held_changed.emit(self.window_of_time.held)
        self.update()

    def _lane_painter(self, inks: PlotInks) -> LanePainter:
        return LanePainter(QRectF(self.rect()), self.font(), inks, self.window_of_time)

    def _plot_area(self) -> QRectF:
        return self._lane_painter(PlotInks.of(self.palette())).area
