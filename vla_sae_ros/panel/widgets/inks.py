"""Colours and sizes of what the panel draws itself.

Blue and orange of the Okabe-Ito set, which the colour-blind tell apart, over palette roles, so that
dark and light themes work; sizes follow the font, so that any scale does.
"""

from __future__ import annotations

from dataclasses import dataclass

from PyQt5.QtGui import QColor, QFontMetrics, QPalette
from PyQt5.QtWidgets import QStyle, QStyleOptionViewItem

ACTIVE = QColor("#0072B2")
EDITED = QColor("#E69F00")
ACTIVE_ON_DARK = QColor("#56B4E9")

WARNING = "background: #a81c00; color: white;"
GOOD = "background: #00664b; color: white;"
NEUTRAL = "background: #6b6b6b; color: white;"
CAUTION = "background: #E69F00; color: black;"
"""Style sheets of what must be read at a glance; their contrast is over 4.5."""


def em(metrics: QFontMetrics) -> float:
    """Return the unit of all sizes: 1 at the usual 16 pixels of line height."""
    return metrics.height() / 16.0


def is_dark(palette: QPalette) -> bool:
    """Say whether light text stands on a dark ground."""
    role = QPalette.ColorRole
    return palette.color(role.Base).lightness() < palette.color(role.Text).lightness()


def active_ink(palette: QPalette) -> QColor:
    """Return the colour of activations on this ground."""
    return ACTIVE_ON_DARK if is_dark(palette) else ACTIVE


def faint(colour: QColor, alpha: int) -> QColor:
    """Return the colour with this opacity (0 to 255)."""
    result = QColor(colour)
    result.setAlpha(alpha)
    return result


@dataclass(frozen=True)
class Inks:
    """Colours of one cell: grey when the table is disabled, light on a selected row."""

    text: QColor
    ground: QColor
    active: QColor
    edited: QColor

    @classmethod
    def of(cls, option: QStyleOptionViewItem) -> Inks:
        """Choose for the state of the cell."""
        palette, role = option.palette, QPalette.ColorRole
        if not option.state & QStyle.StateFlag.State_Enabled:
            grey = palette.color(QPalette.ColorGroup.Disabled, role.Text)
            return cls(grey, palette.color(role.Base), grey, grey)
        selected = bool(option.state & QStyle.StateFlag.State_Selected)
        text = palette.color(role.HighlightedText if selected else role.Text)
        active = text if selected else active_ink(palette)
        return cls(text, palette.color(role.Base), active, EDITED)
