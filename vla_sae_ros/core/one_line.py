"""Other people's text on one line of a terminal or a window."""

from __future__ import annotations

_LONGEST = 300  # [characters]


def printable(text: str) -> str:
    """Return text on one line, whole, with a space for every character that is not printed (line
    breaks, control, escape and direction characters)."""
    return text if text.isprintable() else "".join(c if c.isprintable() else " " for c in text)


def one_line(text: str) -> str:
    """Return odd text (line breaks, control, escape and direction characters) as one printable
    line, cut at 300 characters."""
    return " ".join(printable(text[:_LONGEST]).split())
