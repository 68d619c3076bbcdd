"""Several recordings in one .rrd file."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

import rerun as rr
import rerun.blueprint as rrb

from vla_sae_ros.core.errors import RecordingError
from vla_sae_ros.study.rerun.sdk import APPLICATION, program


class RrdFile:
    """Writes one file per recording beside `path`, and `path` whole when the with block ends."""

    def __init__(self, path: Path, blueprint: rrb.Blueprint) -> None:
        """Write to `path`, replacing it; every recording has this blueprint."""
        self._path, self._blueprint = path, blueprint
        path.parent.mkdir(parents=True, exist_ok=True)
        self._folder = tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent)
        self._parts: list[Path] = []

    def open(self, recording_id: str, name: str) -> rr.RecordingStream:
        """Return a new recording under the name that the viewer shows."""
        stream = rr.RecordingStream(APPLICATION, recording_id=recording_id)
        part = Path(self._folder.name) / f"{len(self._parts)}.rrd"
        stream.save(part, default_blueprint=self._blueprint)
        stream.send_recording_name(name)
        self._parts.append(part)
        return stream

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        with self._folder:
            if kind is None and self._parts:
                os.replace(self._merged(), self._path)

    def _merged(self) -> Path:
        if len(self._parts) == 1:
            return self._parts[0]
        merged = Path(self._folder.name) / "merged.rrd"
        command = [str(program()), "rrd", "merge", "-o", str(merged)]
        done = subprocess.run([*command, *map(str, self._parts)], capture_output=True, text=True)
        if done.returncode or not merged.is_file():
            raise RecordingError(f"Rerun could not join the recordings: {done.stderr[-2000:]}")
        return merged
