"""Episodes of a LeRobotDataset: recorded observations, nothing is driven."""

from __future__ import annotations

import hashlib
import importlib
import json
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from lerobot.datasets.lerobot_dataset import LeRobotDataset

from vla_sae_ros.activations.source import Answer, PolicyQuery
from vla_sae_ros.core.errors import ConfigurationError, ObservationError, complaint
from vla_sae_ros.study.collection.dataset_description import state_names

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
        """Ask at every chosen row; the answers go nowhere.

        Raises ObservationError for a row that lerobot cannot read.
        """
        for row in range(self.first, self.end, self.every):
            with self._reading(row):
                item = self.dataset[row]
                frame = {name: _as_frame(item[name].numpy()) for name in self.features}
                instruction = str(item["task"])
            answer(PolicyQuery(frame, instruction, self.number, row - self.first))
        if SUCCESS not in self.dataset.features:
            return None
        with self._reading(self.end - 1):
            return bool(np.any(self.dataset.hf_dataset[self.end - 1][SUCCESS]))

    @contextmanager
    def _reading(self, row: int) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # lerobot, av and torchcodec raise anything
            raise ObservationError(
                f"row {row - self.first} cannot be read ({type(error).__name__}: "
                f"{_first_line(error)}). Copy the data set again, or leave the episode out."
            ) from error


class DatasetSource:
    """Every episode of a data set that is on this machine, or the first `episodes`.

    Args:
        folder: of the data set.
        features: those of its observations that the policy reads.
        every: rows per inference.
        episodes: how many; None means all.

    Raises:
        ConfigurationError: no such data set, one of a version that lerobot does not read, or one
            that lerobot cannot open.
    """

    def __init__(
        self, folder: Path, features: Sequence[str], every: int, episodes: int | None = None
    ) -> None:
        self._names = state_names(folder)
        try:
            self._dataset = LeRobotDataset(folder.name, root=folder, video_backend=_video_backend())
            _index_tasks_by_text(self._dataset.meta)
            self._rate = float(self._dataset.fps)
            self._identity = f"data set {_content_id(self._dataset)}, every {every}"
        except Exception as error:  # lerobot raises anything, from KeyError to the hub's errors
            raise ConfigurationError(
                f"lerobot cannot open the data set in {folder} ({type(error).__name__}: "
                f"{_first_line(error)}). Copy it again with its data, videos and meta folders."
            ) from error
        self._features, self._every = tuple(features), every
        self._count = min(self._dataset.num_episodes, episodes or self._dataset.num_episodes)
        if not 0 < self._rate < math.inf:
            raise ConfigurationError(complaint(f"fps of {folder}", self._rate, "above 0"))

    @property
    def identity(self) -> str:
        return self._identity

    @property
    def control_rate(self) -> float:
        return self._rate

    @property
    def state_names(self) -> tuple[str, ...]:
        return self._names

    def episodes(self) -> Iterator[DatasetEpisode]:
        first = 0
        for number in range(self._count):
            length = int(self._dataset.meta.episodes[number]["length"])
            yield DatasetEpisode(
                self._dataset, self._features, number, first, first + length, self._every
            )
            first += length

    def close(self) -> None:
        """Nothing is held open."""


def _video_backend() -> str:
    """Return what decodes videos. lerobot chooses the same, and logs 110 lines about why."""
    try:
        importlib.import_module("torchcodec")
    except (ImportError, OSError, RuntimeError):  # no FFmpeg that it was built for
        return "pyav"
    return "torchcodec"


def _index_tasks_by_text(meta: Any) -> None:
    """Let lerobot find a task's text where another tool wrote it as a column, not as the index."""
    if "task" in meta.tasks.columns:
        meta.tasks = meta.tasks.set_index("task")


def _content_id(dataset: LeRobotDataset) -> str:
    """Return what tells a data set from others: features, lengths, tasks and first numbers."""
    meta = dataset.meta
    lengths = [int(one) for one in meta.episodes["length"]]
    said = [sorted(meta.features), lengths, [str(one) for one in meta.tasks.index], meta.fps]
    digest = hashlib.sha256(json.dumps(said).encode())
    numbers = [one for one in ("observation.state", "action") if one in meta.features]
    for row in np.linspace(0, max(0, len(dataset) - 1), 16).astype(int).tolist():
        item = dataset.hf_dataset[row]
        for name in numbers:
            digest.update(np.asarray(item[name], np.float32).tobytes())
    return digest.hexdigest()[:16]


def _first_line(error: Exception) -> str:
    """Return what an error says, without the pages that torchcodec says about FFmpeg."""
    lines = [line.strip() for line in str(error).splitlines()]
    return next(filter(None, lines), "no reason given").rstrip(".")


def _as_frame(value: np.ndarray) -> np.ndarray:
    """Return a (C, H, W) picture in [0, 1] as (H, W, C) uint8, a vector as it is."""
    if value.ndim == 3:
        return np.rint(value.transpose(1, 2, 0) * 255).astype(np.uint8)
    return value.astype(np.float32)
