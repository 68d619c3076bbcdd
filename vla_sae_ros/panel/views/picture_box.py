"""One picture with a caption, as large as the room allows."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from PyQt5.QtCore import QRectF, QSize, Qt
from PyQt5.QtGui import QFontMetricsF, QImage, QPainter, QPaintEvent
from PyQt5.QtWidgets import QSizePolicy, QWidget

from vla_sae_ros.panel.views.plot_inks import PlotInks
from vla_sae_ros.panel.widgets.guard import guarded

_WRAPPED = int(Qt.AlignmentFlag.AlignCenter) | int(Qt.TextFlag.TextWordWrap)
_LEFT = int(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)


class PictureBox(QWidget):
    """Draws pixels, or says why there are none."""

    def __init__(self, caption: str) -> None:
        """Start without a picture."""
        super().__init__()
        self.caption, self.reason = caption, ""
        self._pixels: npt.NDArray[np.uint8] | None = None
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setAccessibleName(f"Picture {caption}")

    def sizeHint(self) -> QSize:
        """Ask for the size at which a camera picture is legible."""
        return QSize(220, 240)

    def minimumSizeHint(self) -> QSize:
        """Stay recognisable."""
        return QSize(110, 130)

    def show_pixels(self, pixels: npt.NDArray[np.uint8], caption: str) -> None:
        """Draw (height, width, 3) uint8 RGB with a caption below."""
        if pixels is not self._pixels or caption != self.caption:
            self._pixels, self.caption, self.reason = pixels, caption, ""
            self.update()

    def show_reason(self, reason: str, caption: str) -> None:
        """Say why there is no picture."""
        if self._pixels is not None or (reason, caption) != (self.reason, self.caption):
            self._pixels, self.reason, self.caption = None, reason, caption
            self.update()

    @guarded()
    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the picture, or the reason, and the caption."""
        painter = QPainter(self)
        try:
            inks, line = PlotInks.of(self.palette()), QFontMetricsF(self.font()).height() + 4
            area = QRectF(self.rect()).adjusted(2, 2, -2, -line)
            painter.fillRect(area, inks.ground)
            painter.setPen(inks.text)
            below = QRectF(area.left() + 2, area.bottom(), area.width() - 4, line)
            painter.drawText(
                below,
                _LEFT,
                QFontMetricsF(self.font()).elidedText(
                    self.caption, Qt.TextElideMode.ElideMiddle, below.width()
                ),
            )  # names differ late
            if self._pixels is None:
                painter.drawText(area.adjusted(6, 6, -6, -6), _WRAPPED, self.reason)
            else:
                _draw(painter, area, self._pixels)
        finally:
            painter.end()


def _draw(painter: QPainter, area: QRectF, pixels: npt.NDArray[np.uint8]) -> None:
    lines = np.ascontiguousarray(pixels)
    height, width = lines.shape[:2]
    data: Any = lines.data
    image = QImage(data, width, height, 3 * width, QImage.Format.Format_RGB888)
    scale = min(area.width() / width, area.height() / height)
    target = QRectF(0, 0, width * scale, height * scale)
    target.moveCenter(area.center())
    painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
    painter.drawImage(target, image)
