"""Where commands show tables and words: other people's text is text there, too."""

from __future__ import annotations

from rich.console import Console


def plain_console(stderr: bool = False) -> Console:
    """Return a console that takes no text for markup: labels, reasons and paths hold brackets and
    colons. What is to be coloured is a `rich.text.Text` with a style."""
    return Console(stderr=stderr, markup=False, emoji=False)
