"""Other people's text is shown as text: labels, owners and reasons may hold anything.

Qt takes a text that looks like HTML for HTML, in labels and in tooltips.
"""

from __future__ import annotations

from PyQt5.QtCore import Qt
from PyQt5.QtWidgets import QLabel

_JOINER = "\N{WORD JOINER}"


def plain_tip(text: str) -> str:
    """Return a text that a tooltip shows as it is.

    A word joiner, which nobody sees, keeps what follows a "<" from being read as a tag.
    """
    return text.replace("<", f"<{_JOINER}")


class PlainLabel(QLabel):
    """A label that never takes its text for HTML, and whose tooltip does not either."""

    def __init__(self, text: str = "") -> None:
        """Show `text`."""
        super().__init__()
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setText(text)

    def setToolTip(self, text: str | None) -> None:
        """Show a text while the pointer rests."""
        super().setToolTip(plain_tip(text or ""))
