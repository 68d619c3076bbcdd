"""What is kept of an episode's observations while it is collected."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from vla_sae_ros.activations.archive import EpisodeArchive
from vla_sae_ros.activations.frames import FRAMES_FOLDER, frame_name, small_jpeg
from vla_sae_ros.activations.observations import OBSERVATIONS_FOLDER, add_observation
from vla_sae_ros.activations.source import Moment


class EpisodePictures:
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
        self._frame_height = frame_height
        self._open = ExitStack()
        self._frames, self._observations = (
            self._open.enter_context(EpisodeArchive(folder, kind, episode_id)) if wanted else None
            for kind, wanted in (
                (FRAMES_FOLDER, frame_height > 0),
                (OBSERVATIONS_FOLDER, observations),
            )
        )

    def add(self, moment: Moment) -> int:
        """Keep what is wanted of one moment; return how many bytes that took."""
        size = 0
        pictures = [value for value in moment.frame.values() if value.ndim == 3]
        if self._frames is not None and pictures:
            small = small_jpeg(pictures, self._frame_height)
            self._frames.add(frame_name(moment.step), small)
            size += len(small)
        if self._observations is not None:
            size += add_observation(self._observations, moment)
        return size

    def __enter__(self) -> EpisodePictures:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._open.__exit__(kind, error, trace)
