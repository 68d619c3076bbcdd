"""What is kept of an episode's observations while it is collected."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from vla_sae_ros.activations.archive import EpisodeArchive
from vla_sae_ros.activations.frames import FRAMES_FOLDER, frame_name, small_jpeg
from vla_sae_ros.activations.observations import OBSERVATIONS_FOLDER, add_observation
from vla_sae_ros.activations.source import PolicyQuery


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
        self._frame_height = frame_height
        self._frames, self._observations = (
            self.enter_context(EpisodeArchive(folder, kind, episode_id)) if wanted else None
            for kind, wanted in (
                (FRAMES_FOLDER, frame_height > 0),
                (OBSERVATIONS_FOLDER, observations),
            )
        )

    def add(self, query: PolicyQuery) -> int:
        """Keep what is wanted of one query; return how many bytes that took."""
        size = 0
        pictures = [value for value in query.frame.values() if value.ndim == 3]
        if self._frames is not None and pictures:
            small = small_jpeg(pictures, self._frame_height)
            self._frames.add(frame_name(query.step), small)
            size += len(small)
        if self._observations is not None:
            size += add_observation(self._observations, query)
        return size
