"""The pictures of contact sheets, as data URIs within a limit of bytes."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from vla_sae_ros.study.episode_frames import read_frame
from vla_sae_ros.study.top_episodes import Peak


@dataclass(frozen=True)
class ContactFrames:
    """Pictures by (episode id, step), several features may share one.

    missing: peaks of which none was collected. left_out: pictures over the limit.
    """

    uris: tuple[str, ...]
    index: dict[tuple[str, int], int]
    missing: int
    left_out: int


def contact_frames(folder: Path, sheets: Sequence[Sequence[Peak]], limit: float) -> ContactFrames:
    """Read the pictures of the sheets, each sheet's first before any sheet's second.

    Args:
        folder: of the activations.
        sheets: the peaks of each feature, the most important feature first.
        limit: [MB] of the data URIs together.

    Raises:
        CollectionError: damaged pictures.
    """
    uris: list[str] = []
    index: dict[tuple[str, int], int] = {}
    absent: set[tuple[str, int]] = set()
    over: set[tuple[str, int]] = set()
    used = 0
    for rank in zip_longest(*sheets):
        for peak in rank:
            key = (peak.episode_id, peak.step) if peak is not None else None
            if key is None or key in index or key in absent or key in over:
                continue
            jpeg = read_frame(folder, *key)
            if jpeg is None:
                absent.add(key)
                continue
            uri = "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()
            if used + len(uri) > limit * 1e6:
                over.add(key)
                continue
            used += len(uri)
            index[key] = len(uris)
            uris.append(uri)
    return ContactFrames(tuple(uris), index, len(absent), len(over))
