"""The episodes in which a feature is most active, found one episode at a time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from vla_sae_ros.activations.codes import CodedEpisode
from vla_sae_ros.core.errors import ConfigurationError, complaint


@dataclass(frozen=True)
class Peak:
    """Where a feature is most active in an episode. step: control step. value: its code there."""

    episode_id: str
    step: int
    value: float


class TopEpisodes:
    """The best `count` episodes of every feature; (count, F) numbers are in memory, no episode."""

    def __init__(self, count: int) -> None:
        """Raise ConfigurationError for a count below 1."""
        if count < 1:
            raise ConfigurationError(complaint("top episodes per feature", count, "1 or more"))
        self._count = count
        self._ids: list[str] = []
        self._value: np.ndarray = np.zeros((0, 0), np.float32)
        self._step: np.ndarray = np.zeros((0, 0), np.int64)
        self._episode: np.ndarray = np.zeros((0, 0), np.int64)

    @classmethod
    def of(cls, episodes: Iterable[CodedEpisode], count: int) -> TopEpisodes:
        """Read all episodes, one at a time."""
        top = cls(count)
        for episode in episodes:
            top.add(episode)
        return top

    def add(self, episode: CodedEpisode) -> None:
        """Take one more episode; of equal peaks the earlier episode and step stay first."""
        at = episode.codes.argmax(axis=0)
        size = len(at)
        row: tuple[np.ndarray, ...] = (
            episode.codes[at, np.arange(size)],
            episode.steps[at],
            np.full(size, len(self._ids), np.int64),
        )
        self._ids.append(episode.episode.episode_id)
        kept: tuple[np.ndarray, ...] = (self._value, self._step, self._episode)
        grown = [
            np.concatenate([old.reshape(-1, size), new[None]])
            for old, new in zip(kept, row, strict=True)
        ]
        order = np.argsort(-grown[0], axis=0, kind="stable")[: self._count]
        self._value, self._step, self._episode = (
            np.take_along_axis(one, order, axis=0) for one in grown
        )

    def peaks(self, feature: int) -> tuple[Peak, ...]:
        """Return the feature's best episodes, best first, without those in which it is silent."""
        column = zip(
            self._episode[:, feature].tolist(),
            self._step[:, feature].tolist(),
            self._value[:, feature].tolist(),
            strict=True,
        )
        return tuple(Peak(self._ids[e], step, value) for e, step, value in column if value > 0)
