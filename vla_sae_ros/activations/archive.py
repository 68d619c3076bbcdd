"""Small files about one collected episode, together in one file: pictures, observations."""

from __future__ import annotations

import zipfile
from contextlib import ExitStack
from pathlib import Path

from vla_sae_ros.activations.format import CollectionError
from vla_sae_ros.core.whole_file import whole_file


class EpisodeArchive(ExitStack):
    """Collects files while an episode goes on; they appear when the `with` ends without an error.

    Args:
        folder: of the activations.
        kind: subfolder, e.g. "frames".
        episode_id: of the episode.
    """

    def __init__(self, folder: Path, kind: str, episode_id: str) -> None:
        super().__init__()
        path = archive_path(folder, kind, episode_id)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = self.enter_context(whole_file(path))
        self._zip = self.enter_context(zipfile.ZipFile(part, "w", zipfile.ZIP_STORED))

    def add(self, name: str, content: bytes) -> None:
        """Take one file."""
        self._zip.writestr(name, content)


def archive_path(folder: Path, kind: str, episode_id: str) -> Path:
    """Return where an episode's files of a kind are."""
    return folder / kind / f"{episode_id.replace('/', '_')}.zip"


class ArchiveNames:
    """What the archives of a kind hold; each is looked into once."""

    def __init__(self, folder: Path, kind: str) -> None:
        self._folder, self._kind = folder, kind
        self._names: dict[str, frozenset[str]] = {}

    def has(self, episode_id: str, name: str) -> bool:
        """Say whether an episode has a file. Raises CollectionError for a damaged archive."""
        if episode_id not in self._names:
            names = archived_names(self._folder, self._kind, episode_id)
            self._names[episode_id] = frozenset(names)
        return name in self._names[episode_id]


def archived_names(folder: Path, kind: str, episode_id: str) -> list[str]:
    """Return the names of an episode's files; none where it has no archive.

    Raises CollectionError for a damaged archive.
    """
    path = archive_path(folder, kind, episode_id)
    if not path.exists():
        return []
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.namelist()
    except (zipfile.BadZipFile, OSError) as error:
        raise _damaged(path, error) from error


def read_archived(folder: Path, kind: str, episode_id: str, name: str) -> bytes | None:
    """Return one file of an episode; None where there is none.

    Raises CollectionError for a damaged archive.
    """
    path = archive_path(folder, kind, episode_id)
    if not path.exists():
        return None
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.read(name) if name in archive.namelist() else None
    except (zipfile.BadZipFile, OSError) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> CollectionError:
    return CollectionError(
        f"{path} is damaged ({error}). Delete the file to continue without its contents."
    )
