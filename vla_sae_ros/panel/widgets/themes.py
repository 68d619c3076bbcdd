"""Dark and light palettes, for where the desktop's own is not wanted."""

from __future__ import annotations

from PyQt5.QtGui import QColor, QPalette
from PyQt5.QtWidgets import QApplication

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
