"""What nodes logged while a test ran, for the report of the test that failed."""

from __future__ import annotations

import os
from pathlib import Path

LINES = 60
"""The last lines of each log that a report shows."""


def added_logs(folder: Path, since: float) -> dict[Path, str]:
    """Return the end of each log under a folder to which something was added since a time [s].

    The logs of nodes in this process are left out: pytest shows what they say on stderr.
    """
    found = {}
    for path in sorted(folder.rglob("*.log")):
        own = f"_{os.getpid()}_" in path.name  # as rcl names them: program, process, time
        if own or not path.is_file() or path.stat().st_mtime < since:
            continue
        lines = path.read_text(errors="replace").splitlines()
        if len(lines) > LINES:
            lines = [f"({len(lines) - LINES} earlier lines are in {path})", *lines[-LINES:]]
        if lines:
            found[path] = "\n".join(lines)
    return found
