"""What is kept of an episode's observations while it is collected."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from vla_sae_ros.activations.archive import EpisodeArchive
from vla_sae_ros.activations.frames import FRAMES_FOLDER, frame_name, small_jpeg
from vla_sae_ros.activations.observations import OBSERVATIONS_FOLDER, observation_files
from vla_sae_ros.activations.source import PolicyQuery

PictureFile = tuple[str, str, bytes]
"""Kind (a subfolder of the activations), name and content of a file of an episode's archive."""


class EpisodePictures(ExitStack):
    """Small pictures and, if wanted, whole observations; on disk when the `with` ends well.

    Args:
        folder: of the activations.
        episode_id: of the episode.
        frame_height: [pixels] of the small pictures; 0 = none.
        observations: keep whole observations too.
    """

    def __init__(
        self, folder: Path, episode_id: str, frame_height: int, observations: bool
    ) -> None:
        super().__init__()
        self._frame_height, self._observations = frame_height, observations
        kinds = [FRAMES_FOLDER] * (frame_height > 0) + [OBSERVATIONS_FOLDER] * observations
        self._archives = {
            kind: self.enter_context(EpisodeArchive(folder, kind, episode_id)) for kind in kinds
        }

    def add(self, query: PolicyQuery) -> int:
        """Keep what is wanted of one query; return how many bytes that took."""
        return self.add_files(picture_files(query, self._frame_height, self._observations))

    def add_files(self, files: Sequence[PictureFile]) -> int:
        """Keep what `picture_files` gave for this height and choice; return how many bytes."""
        for kind, name, content in files:
            self._archives[kind].add(name, content)
        return sum(len(content) for _, _, content in files)


def picture_files(query: PolicyQuery, frame_height: int, observations: bool) -> list[PictureFile]:
    """Return what is kept of one query; see `EpisodePictures`."""
    files: list[PictureFile] = []
    pictures = [value for value in query.frame.values() if value.ndim == 3]
    if frame_height > 0 and pictures:
        small = small_jpeg(pictures, frame_height)
        files.append((FRAMES_FOLDER, frame_name(query.step), small))
    if observations:
        files += [(OBSERVATIONS_FOLDER, *file) for file in observation_files(query)]
    return files
