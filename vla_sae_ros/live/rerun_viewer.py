"""A Rerun viewer: one that is opened here, or one that runs already."""

from __future__ import annotations

import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass
from typing import IO
from urllib.parse import urlsplit

from vla_sae_ros.core.errors import ConfigurationError, RecordingError, complaint
from vla_sae_ros.study.rerun.sdk import program

_OPENING = 60.0  # [s] for a viewer's window to appear, on a machine that may be busy
_REACHING = 5.0  # [s] for a viewer that runs already
_LOOK = 0.1  # [s]


@dataclass(frozen=True)
class Viewer:
    """Where recordings are sent to."""

    url: str
    process: subprocess.Popen[bytes] | None = None
    """The viewer, if it was opened here."""

    @property
    def closed(self) -> bool:
        """The window that was opened here is gone."""
        return self.process is not None and self.process.poll() is not None


def viewer_at(url: str) -> Viewer:
    """Return the viewer that runs at this URL.

    Raises ConfigurationError for another form of URL or when nobody listens there.
    """
    parts = urlsplit(url)
    allowed = "rerun+http://HOST:PORT/proxy"
    if parts.scheme not in ("rerun", "rerun+http", "rerun+https") or parts.path != "/proxy":
        raise ConfigurationError(complaint("--connect", url, allowed))
    try:
        socket.create_connection((parts.hostname or "", parts.port or 9876), _REACHING).close()
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            complaint("--connect", url, allowed, f"No viewer listens there: {error}.")
        ) from error
    return Viewer(url)


def open_viewer() -> Viewer:
    """Open a viewer that listens to this machine only; it stays open when this process ends.

    Raises RecordingError with the viewer's words when it does not open.
    """
    port = free_port()
    command = [str(program()), "--bind=127.0.0.1", f"--port={port}", "--expect-data-soon"]
    with tempfile.TemporaryFile() as words:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=words,
            start_new_session=True,  # Ctrl-C here closes no window
        )
        deadline = time.monotonic() + _OPENING
        while not _listens(port):
            if process.poll() is not None or time.monotonic() > deadline:
                process.kill()
                raise RecordingError(
                    f"Rerun's viewer did not open: {_end_of(words)} Without a screen, show it on "
                    "another machine: run `rerun` there, and here --connect "
                    "rerun+http://THAT_MACHINE:9876/proxy."
                )
            time.sleep(_LOOK)
    return Viewer(f"rerun+http://127.0.0.1:{port}/proxy", process)


def free_port() -> int:
    """Return a TCP port of this machine that nobody uses."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _end_of(words: IO[bytes]) -> str:
    words.seek(0)
    lines = words.read().decode(errors="replace").strip().splitlines()
    return " ".join(lines[-3:]) or "it printed nothing."
