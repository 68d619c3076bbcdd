"""Finished runs on disk: each is there whole or not at all, and is never run twice.

    STUDY/runs.jsonl     one line per finished run, written last
    STUDY/lost.jsonl     one line per run whose worker failed or died, and why
    STUDY/files/, videos/

Killing the writer at any moment costs the runs under way and no other. Runs are named by their
settings, so a changed study takes from the folder what it still needs.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from vla_sae_ros.core.folders import FolderLock
from vla_sae_ros.core.journal import Journal, append_to_journal, read_journal
from vla_sae_ros.core.whole_file import write_whole
from vla_sae_ros.study.experiment.design.settings import RunSettings
from vla_sae_ros.study.experiment.records.outcome import Result, RunOutcome
from vla_sae_ros.study.experiment.records.table import FILES_FOLDER, VIDEOS_FOLDER

JOURNAL = "runs.jsonl"
LOST = "lost.jsonl"


@dataclass(frozen=True)
class Finished:
    """A run in the store. attempt: 1, or more where workers were lost on it."""

    outcome: RunOutcome
    attempt: int
    file: str
    video: str


class StoredRuns:
    """The finished runs in a study's folder, to read; the folder need not exist.

    Raises:
        RecordingError: a line of the journal is damaged.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._finished = read_finished(folder)

    @property
    def finished(self) -> Mapping[str, Finished]:
        """Every finished run by its id."""
        return MappingProxyType(self._finished)

    def bytes_per_run(self) -> float | None:
        """Return what a finished run takes on disk, files and videos; None before the first."""
        if not self._finished:
            return None
        names = [name for one in self._finished.values() for name in (one.file, one.video) if name]
        sizes = [path.stat().st_size for path in map(self.folder.joinpath, names) if path.exists()]
        return sum(sizes) / len(self._finished)


class Store(StoredRuns, AbstractContextManager):
    """The folder of a study; one process writes to it at a time.

    Raises:
        ConfigurationError: another process has it open.
        RecordingError: a line of the journal is damaged.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = FolderLock(folder)
        super().__init__(folder)
        self._journal = Journal(folder / JOURNAL, synced=True)

    def add(self, settings: RunSettings, result: Result, attempt: int) -> None:
        """Keep a finished run; when this returns it is on the disk."""
        run_id = settings.run_id
        file, video = file_of(run_id), ""
        _write(self.folder / file, result.file)
        if result.video:
            video = f"{VIDEOS_FOLDER}/{run_id}.mp4"
            _write(self.folder / video, result.video)
        entry = {
            "run_id": run_id,
            "settings": asdict(settings),
            "attempt": attempt,
            "file": file,
            "video": video,
            "outcome": result.outcome.to_dict(),
        }
        self._journal.add(entry)
        self._finished[run_id] = Finished(result.outcome, attempt, file, video)

    def add_lost(self, settings: RunSettings, reason: str, again: bool) -> None:
        """Note a run that was lost, and whether it is begun again."""
        entry = {
            "run_id": settings.run_id,
            "again": again,
            "reason": reason,
            "settings": asdict(settings),
        }
        append_to_journal(self.folder / LOST, entry)

    def close(self) -> None:
        """Let go of the folder."""
        self._journal.close()
        self._lock.release()

    def __exit__(self, *_: object) -> None:
        self.close()


def file_of(run_id: str) -> str:
    """Return the path of a run's arrays below the study's folder."""
    return f"{FILES_FOLDER}/{run_id}.npz"


def read_finished(folder: Path) -> dict[str, Finished]:
    """Return the finished runs by id; one whose file is gone is left out: it is run again.

    Raises:
        RecordingError: a line of the journal is damaged.
    """
    remedy = "Remove the line; its run will be made again."
    runs = read_journal(folder / JOURNAL, _finished, remedy).entries
    return {run_id: one for run_id, one in runs if (folder / one.file).is_file()}


def _finished(entry: Any) -> tuple[str, Finished]:
    outcome = RunOutcome(**entry["outcome"])
    finished = Finished(outcome, entry["attempt"], entry["file"], entry["video"])
    return str(entry["run_id"]), finished


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(exist_ok=True)
    write_whole(path, content)
