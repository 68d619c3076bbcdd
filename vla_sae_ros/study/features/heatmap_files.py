"""The heatmaps of a bundle's features, kept beside the activations they were computed for."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from vla_sae_ros.activations.archive import (
    ArchiveNames,
    EpisodeArchive,
    archived_names,
    read_archived,
)

_FOLDER = "heatmaps"


class HeatmapFiles:
    """The heatmaps of one bundle in a folder of activations; `has` is of when it was first asked.

    Args:
        folder: of the activations.
        bundle_id: of the bundle.
    """

    def __init__(self, folder: Path, bundle_id: str) -> None:
        self._folder, self._kind = folder, f"{_FOLDER}/{bundle_id}"
        self._names = ArchiveNames(folder, self._kind)

    def has(self, episode_id: str, step: int, feature: int) -> bool:
        """Say whether a feature's heatmap at one inference was computed."""
        return self._names.has(episode_id, _name(step, feature))

    def read(self, episode_id: str, step: int, feature: int) -> bytes | None:
        """Return a feature's JPEG at one inference; None where none was computed.

        Raises CollectionError for a damaged file.
        """
        return read_archived(self._folder, self._kind, episode_id, _name(step, feature))

    def missing(self, episode_id: str, wanted: Iterable[tuple[int, int]]) -> set[tuple[int, int]]:
        """Return those (step, feature) of `wanted` that were not computed yet."""
        there = set(archived_names(self._folder, self._kind, episode_id))
        return {one for one in wanted if _name(*one) not in there}

    def add(self, episode_id: str, new: dict[tuple[int, int], bytes]) -> None:
        """Write the JPEGs by (step, feature), and those that were there, whole or not at all."""
        old = {
            name: read_archived(self._folder, self._kind, episode_id, name)
            for name in archived_names(self._folder, self._kind, episode_id)
        }
        with EpisodeArchive(self._folder, self._kind, episode_id) as archive:
            for name, content in old.items():
                archive.add(name, content or b"")
            for key, content in new.items():
                archive.add(_name(*key), content)


def _name(step: int, feature: int) -> str:
    return f"{step:06d}-{feature}.jpg"
