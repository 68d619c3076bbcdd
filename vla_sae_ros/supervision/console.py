"""The terminal shared by many processes: whole lines with time and name, coloured where it can."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Sequence
from datetime import datetime
from typing import TextIO

COLOURS = (36, 33, 35, 32, 34, 96, 93, 95)  # ANSI foregrounds; red is left for trouble
SELF = "supervisor"


class Console:
    """Prints lines of several named sources; may be used from any thread."""

    def __init__(self, names: Sequence[str], stream: TextIO | None = None) -> None:
        self._stream: TextIO | None = stream if stream is not None else sys.stdout
        self._lock = threading.Lock()
        self._width = max(map(len, [*names, SELF]))
        coloured = self._stream.isatty() and "NO_COLOR" not in os.environ
        self._colour = (
            {name: COLOURS[index % len(COLOURS)] for index, name in enumerate(names)} | {SELF: 1}
            if coloured
            else {}
        )

    def say(self, text: str) -> None:
        """Print a line of the supervisor's own."""
        self.line(SELF, text)

    def line(self, name: str, text: str) -> None:
        """Print one line of the source `name`."""
        label = name.ljust(self._width)
        if colour := self._colour.get(name):
            label = f"\033[{colour}m{label}\033[0m"
        stamp = f"{datetime.now():%H:%M:%S.%f}"[:-3]
        with self._lock:
            if self._stream is None:
                return
            try:
                print(f"{stamp} {label} | {text}", file=self._stream, flush=True)
            except BrokenPipeError:
                self._stream = None  # nobody reads any more; the log files go on
