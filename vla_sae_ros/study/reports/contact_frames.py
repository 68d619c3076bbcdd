"""The pictures of contact sheets, as data URIs within a limit of bytes."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import zip_longest
from pathlib import Path

from vla_sae_ros.activations.archive import ArchiveNames
from vla_sae_ros.activations.frames import FRAMES_FOLDER, frame_name, read_frame
from vla_sae_ros.study.features.heatmap_files import HeatmapFiles
from vla_sae_ros.study.features.labels.top_episodes import Peak

Key = tuple[str, int] | tuple[str, int, int]


@dataclass(frozen=True)
class Sheet:
    """The contact sheet of one feature: its best episodes."""

    feature: int
    peaks: Sequence[Peak]


@dataclass(frozen=True)
class ContactFrames:
    """Pictures by (episode id, step), which features may share, and heatmaps by (.., feature).

    missing: peaks of which no picture was collected. left_out: pictures and heatmaps over the
    limit.
    """

    uris: tuple[str, ...]
    index: dict[tuple[str, int], int]
    heatmaps: dict[tuple[str, int, int], int]
    missing: int
    left_out: int


def contact_frames(
    folder: Path, bundle_id: str, sheets: Sequence[Sheet], limit: float
) -> ContactFrames:
    """Read the pictures and heatmaps of the sheets, each sheet's first before any sheet's second.

    Args:
        folder: of the activations.
        bundle_id: whose heatmaps, where there are any.
        sheets: of each feature, the most important feature first.
        limit: [MB] of the data URIs together.

    Raises:
        CollectionError: damaged pictures.
    """
    pictures = _Pictures(limit)
    missing: set[tuple[str, int]] = set()
    frames = ArchiveNames(folder, FRAMES_FOLDER)
    files = HeatmapFiles(folder, bundle_id)
    for rank in zip_longest(*(sheet.peaks for sheet in sheets)):
        for sheet, peak in zip(sheets, rank, strict=True):
            if peak is None:
                continue
            key = (peak.episode_id, peak.step)
            if frames.has(peak.episode_id, frame_name(peak.step)):
                pictures.take(key, partial(read_frame, folder, *key))
            else:
                missing.add(key)
            drawn = (*key, sheet.feature)
            if files.has(*drawn):
                pictures.take(drawn, partial(files.read, *drawn))
    return ContactFrames(
        tuple(pictures.uris),
        {key: at for key, at in pictures.index.items() if len(key) == 2},
        {key: at for key, at in pictures.index.items() if len(key) == 3},
        len(missing),
        len(pictures.over),
    )


class _Pictures:
    """Data URIs within a limit [MB], each key's once; after the first that does not fit none is."""

    def __init__(self, limit: float) -> None:
        self.uris: list[str] = []
        self.index: dict[Key, int] = {}
        self.over: set[Key] = set()
        self._left = limit * 1e6

    def take(self, key: Key, read: Callable[[], bytes | None]) -> None:
        """Take the picture if it still fits; one that does not is not even read."""
        if key in self.index:
            return
        uri = "" if self.over else _uri(read() or b"")
        if self.over or len(uri) > self._left:
            self.over.add(key)
            return
        self._left -= len(uri)
        self.index[key] = len(self.uris)
        self.uris.append(uri)


def _uri(jpeg: bytes) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()
