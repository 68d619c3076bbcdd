"""Other people's text on one line of a terminal or a window."""

from __future__ import annotations

_LONGEST = 300  # [characters]


def one_line(text: str) -> str:
    """Return odd text (line breaks, control, escape and direction characters) as one printable
    line, cut at 300 characters."""
    cut = text[:_LONGEST]
    if not cut.isprintable():
        cut = "".join(c if c.isprintable() else " " for c in cut)
    return " ".join(cut.split())
