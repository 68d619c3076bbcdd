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
from vla_sae_ros.core.errors import (
    ConfigurationError,
    ObservationError,
    VlaSaeError,
    complaint,
)
from vla_sae_ros.study.collection.dataset_description import state_names
from vla_sae_ros.study.collection.dataset_order import put_in_order, rows_by_episode

SUCCESS = "next.success"


@dataclass(frozen=True)
class DatasetEpisode:
    """Some rows of a data set, in their order, every `every`-th of them."""

    dataset: LeRobotDataset
    features: Sequence[str]
    number: int
    rows: Sequence[int]
    every: int

    @property
    def episode_id(self) -> str:
        return f"episode-{self.number:06d}"

    @property
    def task(self) -> str:
        return ""

    @property
    def inferences(self) -> int:
        return -(-len(self.rows) // self.every)

    def play(self, answer: Answer) -> bool | None:
        """Ask at every chosen row; the answers go nowhere.

        Raises ObservationError for a row that lerobot cannot read, or whose task has no text.
        """
        for step in range(0, len(self.rows), self.every):
            with self._reading(step):
                item = self.dataset[self.rows[step]]
                frame = {name: _as_frame(item[name].numpy()) for name in self.features}
            answer(PolicyQuery(frame, self._instruction(item, step), self.number, step))
        if SUCCESS not in self.dataset.features:
            return None
        with self._reading(len(self.rows) - 1):
            return bool(np.any(self.dataset.hf_dataset[self.rows[-1]][SUCCESS]))

    def _instruction(self, item: dict[str, Any], step: int) -> str:
        if not isinstance(item["task"], str):
            raise ObservationError(
                f"row {step} is of task {int(item['task_index'])}, which has no text in "
                "meta/tasks.parquet. Write it there, or leave the episode out."
            )
        return item["task"]

    @contextmanager
    def _reading(self, step: int) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # lerobot, av and torchcodec raise anything
            raise ObservationError(
                f"row {step} cannot be read ({type(error).__name__}: "
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
            put_in_order(self._dataset.meta, folder)
            self._rows = rows_by_episode(self._dataset.hf_dataset.data, folder)
            _require_whole(self._dataset, folder)
            self._rate = float(self._dataset.fps)
            self._identity = f"data set {_content_id(self._dataset)}, every {every}"
        except VlaSaeError:
            raise
        except Exception as error:  # lerobot raises anything, from KeyError to the hub's errors
            raise ConfigurationError(
                f"lerobot cannot open the data set in {folder} ({type(error).__name__}: "
                f"{_first_line(error)}). Copy it again with its data, videos and meta folders."
            ) from error
        self._features, self._every = tuple(features), every
        self._numbers = list(self._rows)[:episodes]
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
        for number in self._numbers:
            rows = self._rows[number].tolist()
            yield DatasetEpisode(self._dataset, self._features, number, rows, self._every)

    def close(self) -> None:
        """Nothing is held open."""


def _video_backend() -> str:
    """Return what decodes videos. lerobot chooses the same, and logs 110 lines about why."""
    try:
        importlib.import_module("torchcodec")
    except (ImportError, OSError, RuntimeError):  # no FFmpeg that it was built for
        return "pyav"
    return "torchcodec"


def _require_whole(dataset: LeRobotDataset, folder: Path) -> None:
    wanted, there = dataset.meta.total_frames, len(dataset.hf_dataset)
    if there != wanted:
        raise ConfigurationError(
            complaint(
                f"rows of the data set in {folder}",
                there,
                f"{wanted}, as its info.json says",
                "Copy the data set again.",
            )
        )


def _content_id(dataset: LeRobotDataset) -> str:
    """Return what tells a data set from others: features, lengths, tasks, some numbers and
    pictures, and the sizes of its videos."""
    meta = dataset.meta
    lengths = [int(one) for one in meta.episodes["length"]]
    said = [sorted(meta.features), lengths, [str(one) for one in meta.tasks.index], meta.fps]
    videos = sorted((dataset.root / "videos").rglob("*.*"))
    said += [[str(one.relative_to(dataset.root)), one.stat().st_size] for one in videos]
    digest = hashlib.sha256(json.dumps(said).encode())
    numbers = [one for one in ("observation.state", "action") if one in meta.features]
    table = dataset.hf_dataset.data  # as it is stored: a damaged picture is one episode's matter
    for row in np.linspace(0, max(0, len(table) - 1), 16).astype(int).tolist():
        (item,) = table.slice(row, 1).to_pylist()
        for name in numbers:
            digest.update(np.asarray(item[name], np.float32).tobytes())
        for name in meta.image_keys:
            digest.update(item[name]["bytes"] or str(item[name]["path"]).encode())
    return digest.hexdigest()[:16]


def _first_line(error: Exception) -> str:
    """Return what an error says, without the pages that torchcodec says about FFmpeg."""
    lines = [line.strip() for line in str(error).splitlines()]
    return next(filter(None, lines), "no reason given").rstrip(".")


def _as_frame(value: np.ndarray) -> np.ndarray:
    """Return a (C, H, W) picture in [0, 1] as (H, W, C) uint8, a vector as it is.

    lerobot gives a vector of one number without its axis.
    """
    if value.ndim == 3:
        return np.rint(value.transpose(1, 2, 0) * 255).astype(np.uint8)
    return np.atleast_1d(value).astype(np.float32)
