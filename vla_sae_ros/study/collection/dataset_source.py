"""Episodes of a LeRobotDataset: recorded observations, nothing is driven."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from lerobot.datasets.lerobot_dataset import LeRobotDataset

from vla_sae_ros.activations.source import Answer, PolicyQuery
from vla_sae_ros.core.errors import ConfigurationError, complaint

SUCCESS = "next.success"


@dataclass(frozen=True)
class DatasetEpisode:
    """Rows `first` to `end` of a data set, every `every`-th of them."""

    dataset: LeRobotDataset
    features: Sequence[str]
    number: int
    first: int
    end: int
    every: int

    @property
    def episode_id(self) -> str:
        return f"episode-{self.number:06d}"

    @property
    def task(self) -> str:
        return ""

    @property
    def inferences(self) -> int:
        return -(-(self.end - self.first) // self.every)

    def play(self, answer: Answer) -> bool | None:
        """Ask at every chosen row; the answers go nowhere."""
        item: Mapping[str, Any] = {}
        for row in range(self.first, self.end, self.every):
            item = self.dataset[row]
            frame = {name: _as_frame(item[name].numpy()) for name in self.features}
            answer(PolicyQuery(frame, str(item["task"]), self.number, row - self.first))
        last = self.dataset[self.end - 1]
        return bool(last[SUCCESS].any()) if SUCCESS in last else None


class DatasetSource:
    """Every episode of a data set that is on this machine.

    Raises:
        ConfigurationError: no such data set, or one without what the policy reads.
    """

    def __init__(self, folder: Path, features: Sequence[str], every: int) -> None:
        if not (folder / "meta" / "info.json").is_file():
            raise ConfigurationError(
                complaint("LeRobotDataset", str(folder), "a folder with meta/info.json")
            )
        self._dataset = LeRobotDataset(folder.name, root=folder)
        missing = sorted(set(features) - set(self._dataset.features))
        if missing:
            raise ConfigurationError(
                complaint(
                    f"features of {folder} that the policy reads",
                    sorted(self._dataset.features),
                    sorted(features),
                    "Rename the data set's features, or use the policy it was made for.",
                )
            )
        self._features, self._every = tuple(features), every

    @property
    def control_rate(self) -> float:
        return float(self._dataset.fps)

    def episodes(self) -> Iterator[DatasetEpisode]:
        first = 0
        for number in range(self._dataset.num_episodes):
            length = int(self._dataset.meta.episodes[number]["length"])
            yield DatasetEpisode(
                self._dataset, self._features, number, first, first + length, self._every
            )
            first += length

    def close(self) -> None:
        """Nothing is held open."""


def _as_frame(value: np.ndarray) -> np.ndarray:
    """Return a (C, H, W) picture in [0, 1] as (H, W, C) uint8, a vector as it is."""
    if value.ndim == 3:
        return np.rint(value.transpose(1, 2, 0) * 255).astype(np.uint8)
    return value.astype(np.float32)
