"""A log file that never stands in the way of the process whose output it keeps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path


class LogFile:
    """Appends lines, each at once on its way to the disk; gives up with a word when it cannot.

    Whoever reads a process's output must go on reading when the disk is full: the process would
    stand still at its next line of output.
    """

    def __init__(self, path: Path, on_failure: Callable[[str], None]) -> None:
        self._path, self._on_failure = path, on_failure
        self._failed = False
        try:
            self._file = path.open("a", buffering=1, encoding="utf-8")
        except OSError as error:
            self._give_up(error)

    def write(self, line: str) -> None:
        """Append a line that ends with a newline."""
        if self._failed:
            return
        try:
            self._file.write(line)
        except OSError as error:
            self._give_up(error)

    def close(self) -> None:
        """Close the file."""
        if self._failed:
            return
        try:
            self._file.close()
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        self._failed = True
        self._on_failure(f"[the log file {self._path} ends here: {error}]")
