"""What this process writes to stderr while other threads go on writing."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def written_stderr(path: Path) -> Iterator[Path]:
    """Send file descriptor 2 to the end of a file, which may be read at any time.

    `capfd.readouterr` reads its file and then empties it: what a thread writes between the two is
    lost. So it is for one look at what is already written, and this is for looking again and again.
    """
    sys.stderr.flush()
    before = os.dup(2)
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(file, 2)
    os.close(file)
    try:
        yield path
    finally:
        sys.stderr.flush()
        os.dup2(before, 2)
        os.close(before)
