"""Colours and sizes of what the panel draws itself, and dark and light palettes for the rest.

Blue and orange of the Okabe-Ito set, which the colour-blind tell apart, over palette roles, so that
dark and light themes work; sizes follow the font, so that any scale does.
"""

from __future__ import annotations

from dataclasses import dataclass

from PyQt5.QtGui import QColor, QFontMetrics, QPalette
from PyQt5.QtWidgets import QApplication, QStyle, QStyleOptionViewItem

ACTIVE = QColor("#0072B2")
EDITED = QColor("#E69F00")
ACTIVE_ON_DARK = QColor("#56B4E9")

WARNING = "background: #a81c00; color: white;"
GOOD = "background: #00664b; color: white;"
NEUTRAL = "background: #6b6b6b; color: white;"
CAUTION = "background: #E69F00; color: black;"
"""Style sheets of what must be read at a glance; their contrast is over 4.5."""


_ROLE = QPalette.ColorRole
_DARK = {
    _ROLE.Window: "#23262b",
    _ROLE.WindowText: "#e8eaed",
    _ROLE.Base: "#1a1c20",
    _ROLE.AlternateBase: "#212429",
    _ROLE.Text: "#e8eaed",
    _ROLE.Button: "#31353c",
    _ROLE.ButtonText: "#e8eaed",
    _ROLE.BrightText: "#ffffff",
    _ROLE.ToolTipBase: "#31353c",
    _ROLE.ToolTipText: "#e8eaed",
    _ROLE.Highlight: "#1f5f8b",
    _ROLE.HighlightedText: "#ffffff",
    _ROLE.Link: "#56b4e9",
    _ROLE.Mid: "#3a3f47",
    _ROLE.Dark: "#15171a",
    _ROLE.Light: "#40454e",
    _ROLE.PlaceholderText: "#9aa0a8",
}
_LIGHT = {
    _ROLE.Window: "#f0f1f3",
    _ROLE.WindowText: "#16181b",
    _ROLE.Base: "#ffffff",
    _ROLE.AlternateBase: "#f5f6f8",
    _ROLE.Text: "#16181b",
    _ROLE.Button: "#e4e6ea",
    _ROLE.ButtonText: "#16181b",
    _ROLE.BrightText: "#000000",
    _ROLE.ToolTipBase: "#ffffff",
    _ROLE.ToolTipText: "#16181b",
    _ROLE.Highlight: "#0b5f96",
    _ROLE.HighlightedText: "#ffffff",
    _ROLE.Link: "#0072b2",
    _ROLE.Mid: "#b9bdc4",
    _ROLE.Dark: "#9a9fa7",
    _ROLE.Light: "#ffffff",
    _ROLE.PlaceholderText: "#63686f",
}
_DISABLED = {"dark": "#7b8189", "light": "#8f949b"}
_PALETTES = {"dark": _DARK, "light": _LIGHT}

SYSTEM = "system"
THEMES = (SYSTEM, *_PALETTES)
"""Names; SYSTEM follows the desktop."""


def em(metrics: QFontMetrics) -> float:
    """Return the unit of all sizes: 1 at the usual 16 pixels of line height."""
    return metrics.height() / 16.0


def use_theme(app: QApplication, name: str) -> None:
    """Give the whole application a theme."""
    if name == SYSTEM:
        return
    palette = QPalette()
    for role, colour in _PALETTES[name].items():
        palette.setColor(role, QColor(colour))
    for role in (_ROLE.WindowText, _ROLE.Text, _ROLE.ButtonText):
        palette.setColor(QPalette.ColorGroup.Disabled, role, QColor(_DISABLED[name]))
    app.setStyle("Fusion")
    app.setPalette(palette)


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
