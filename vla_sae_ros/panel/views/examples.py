"""Frames at which a feature was most active, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from PyQt5.QtGui import QImage
from PyQt5.QtWidgets import QHBoxLayout, QScrollArea, QSizePolicy, QWidget

from vla_sae_ros.panel.state.values import Example
from vla_sae_ros.panel.views.picture_box import PictureBox
from vla_sae_ros.panel.widgets.guard import guarded
from vla_sae_ros.panel.widgets.plain_text import PlainLabel, plain_tip

_MOST = 12
_SIDE = 128  # [pixels]


class Examples(QScrollArea):
    """A row of pictures that scrolls."""

    def __init__(self) -> None:
        """Start empty."""
        super().__init__()
        self.setWidgetResizable(True)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFixedHeight(_SIDE + 2 * self.fontMetrics().height() + 26)
        self.setAccessibleName("Example frames")
        self.boxes: list[PictureBox] = []
        self.show_examples(())

    @guarded()
    def show_examples(self, examples: Sequence[Example]) -> None:
        """Show these frames; one that cannot be decoded says so."""
        row = QWidget()
        line = QHBoxLayout(row)
        self.boxes = [_box(example) for example in examples[:_MOST]]
        for box in self.boxes:
            line.addWidget(box)
        if not self.boxes:
            words = PlainLabel("The catalogue has no example frames of this feature.")
            words.setWordWrap(True)
            line.addWidget(words)
        line.addStretch(1)
        self.setWidget(row)


def _box(example: Example) -> PictureBox:
    box = PictureBox(example.caption)
    box.setToolTip(plain_tip(example.caption))
    box.setFixedSize(_SIDE + 30, _SIDE + box.fontMetrics().height() + 4)
    image = QImage.fromData(example.data).convertToFormat(QImage.Format.Format_RGB888)
    if image.isNull():
        box.show_reason("not a picture that Qt can read", example.caption)
        return box
    pointer: Any = image.constBits()
    pointer.setsize(image.sizeInBytes())
    lines = np.frombuffer(pointer, np.uint8).reshape(image.height(), image.bytesPerLine())
    pixels = lines[:, : 3 * image.width()].reshape(image.height(), image.width(), 3).copy()
    box.show_pixels(pixels, example.caption)
    return box
