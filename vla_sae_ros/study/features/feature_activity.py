"""What every feature does over collected episodes, for pages: best episodes, trace, how often."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from vla_sae_ros.activations.codes import CodedEpisode
from vla_sae_ros.study.features.labels.top_episodes import TopEpisodes

BINS = 40


@dataclass(frozen=True)
class FeatureActivity:
    """F features over some episodes.

    top: their best episodes. mean_trace: (BINS, F) float32, mean code over the episodes in equal
    parts of their progress. fired_in: (F,) int64, episodes in which it fires. density: (F,) share
    of the inferences in which it fires. instructions: episode id -> instruction.
    """

    top: TopEpisodes
    mean_trace: np.ndarray
    fired_in: np.ndarray
    density: np.ndarray
    instructions: dict[str, str]


def feature_activity(episodes: Iterable[CodedEpisode], count: int) -> FeatureActivity:
    """Read all episodes, one at a time; of each feature keep the best `count`."""
    top = TopEpisodes(count)
    instructions: dict[str, str] = {}
    trace: np.ndarray = np.zeros(0)
    fired_in: np.ndarray = np.zeros(0)
    fired: np.ndarray = np.zeros(0)
    inferences = 0
    for one in episodes:
        top.add(one)
        instructions[one.episode.episode_id] = one.episode.instruction
        active = one.codes > 0
        inferences += len(active)
        if not len(trace):
            trace = np.zeros((BINS, active.shape[1]))
            fired_in = fired = np.zeros(active.shape[1], np.int64)
        trace = trace + binned(one.codes)
        fired_in = fired_in + active.any(axis=0)
        fired = fired + active.sum(axis=0)
    mean = (trace / max(1, len(instructions))).astype(np.float32)
    return FeatureActivity(top, mean, fired_in, fired / max(1, inferences), instructions)


def binned(codes: np.ndarray) -> np.ndarray:
    """Return (BINS, F): means over equal parts of an episode (T, F); a short one is stretched."""
    edge = np.arange(BINS + 1) * len(codes) // BINS
    # Where a part is empty, reduceat gives the row at its edge.
    total = np.add.reduceat(codes.astype(np.float64), edge[:-1], axis=0)
    return np.asarray(total / np.maximum(np.diff(edge), 1)[:, None])
