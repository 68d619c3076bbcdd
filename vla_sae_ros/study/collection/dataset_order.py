"""Tasks, episodes and rows of a LeRobotDataset by their numbers.

lerobot takes the n-th line of a table for number n. Data sets that another tool merged, filtered or
converted may list them otherwise: lerobot then gives another task's text, or another episode's
video, without a word.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vla_sae_ros.core.errors import ConfigurationError, complaint


def put_in_order(meta: Any, folder: Path) -> None:
    """Let lerobot find in a data set's `meta` what it looks for by number.

    A task without a text has NaN for one.

    Raises:
        ConfigurationError: two tasks or two episodes of one number.
    """
    meta.tasks = _tasks_by_number(meta.tasks, folder)
    numbers = np.asarray(meta.episodes["episode_index"])
    _require_once(numbers, f"episodes in the meta folder of {folder}")
    if (np.diff(numbers) < 0).any():
        meta.episodes = meta.episodes.select(np.argsort(numbers))


def rows_by_episode(table: Any, folder: Path) -> dict[int, npt.NDArray[np.int64]]:
    """Return episode number -> its rows (n,) of the data's table, in the order of their frames.

    Raises:
        ConfigurationError: two rows are the same frame of an episode.
    """
    episode, frame = (
        table.column(name).to_numpy().reshape(-1) for name in ("episode_index", "frame_index")
    )
    order = np.lexsort((frame, episode))
    episode, frame = episode[order], frame[order]
    twice = np.flatnonzero((np.diff(episode) == 0) & (np.diff(frame) == 0))
    if len(twice):
        first = f"frame {frame[twice[0]]} of episode {episode[twice[0]]} twice"
        raise ConfigurationError(complaint(f"rows of {folder}", first, "every frame once"))
    numbers, starts = np.unique(episode, return_index=True)
    return dict(zip(numbers.tolist(), np.split(order, starts[1:]), strict=True))


def _tasks_by_number(tasks: Any, folder: Path) -> Any:
    """Return the table of tasks with one line for every number, its text as the index."""
    # Some write the text as a column, where lerobot writes it as the index.
    texts = tasks["task"] if "task" in tasks.columns else tasks.index
    numbers = tasks["task_index"].to_numpy()
    _require_once(numbers, f"tasks of {folder}")
    known = tasks[["task_index"]].assign(task=texts.to_numpy()).set_index("task_index")
    ordered = known.reindex(range(int(numbers.max()) + 1))
    return ordered.assign(task_index=ordered.index).set_index("task")


def _require_once(numbers: npt.NDArray[np.int64], what: str) -> None:
    found, counts = np.unique(numbers, return_counts=True)
    twice: Sequence[int] = found[counts > 1].tolist()
    if twice:
        raise ConfigurationError(complaint(what, f"number {twice[0]} twice", "every number once"))
