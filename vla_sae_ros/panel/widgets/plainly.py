"""Changing a widget only where it differs."""

from __future__ import annotations

from PyQt5.QtWidgets import QLabel, QPushButton


def set_plainly(widget: QLabel | QPushButton, text: str, style: str) -> None:
    """Change a widget only when it differs: a style sheet costs a layout."""
    if widget.text() != text:
        widget.setText(text)
    if widget.styleSheet() != style:
        widget.setStyleSheet(style)
