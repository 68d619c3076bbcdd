"""Data sets whose tables list tasks, episodes and rows in another order than lerobot expects."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from lerobot.datasets.lerobot_dataset import LeRobotDataset

from vla_sae_ros.activations.source import PolicyQuery
from vla_sae_ros.core.errors import ConfigurationError, ObservationError
from vla_sae_ros.study.collection.dataset_source import DatasetSource

CAMERA, STATE, FORCE = "observation.images.wrist", "observation.state", "observation.force"
TASKS = ("open the drawer", "close the drawer", "pick up the butter")
FRAMES, SIDE = 3, 64


def brightness(episode: int) -> int:
    return 40 + 60 * episode


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three episodes, each of another task and another grey, their videos in one file."""
    folder = tmp_path_factory.mktemp("ordered") / "mine"
    names = ["height", "width", "channels"]
    features = {
        CAMERA: {"dtype": "video", "shape": (SIDE, SIDE, 3), "names": names},
        STATE: {"dtype": "float32", "shape": (2,), "names": None},
        FORCE: {"dtype": "float32", "shape": (1,), "names": None},
        "action": {"dtype": "float32", "shape": (2,), "names": None},
    }
    made = LeRobotDataset.create("mine", 10, features, folder, use_videos=True)
    for episode, task in enumerate(TASKS):
        for step in range(FRAMES):
            numbers = np.array([episode, step], np.float32)
            made.add_frame(
                {
                    CAMERA: np.full((SIDE, SIDE, 3), brightness(episode), np.uint8),
                    STATE: numbers,
                    FORCE: numbers[:1],
                    "action": numbers,
                    "task": task,
                }
            )
        made.save_episode()
    made.finalize()
    return folder


@pytest.fixture
def copied(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "mine"))


Change = Callable[[pa.Table], pa.Table]


def change(folder: Path, change: Change) -> None:
    (file,) = [folder] if folder.is_file() else folder.rglob("*.parquet")
    pq.write_table(change(pq.read_table(file)), file)


def rows(order: Sequence[int]) -> Change:
    return lambda table: table.take(list(order))


def asked(folder: Path) -> list[list[PolicyQuery]]:
    """Return what the policy is asked in every episode."""
    found = []
    for episode in DatasetSource(folder, [CAMERA, STATE, FORCE], 1).episodes():
        queries: list[PolicyQuery] = []
        episode.play(lambda query: (queries.append(query), np.zeros((1, 2)))[1])  # noqa: B023
        found.append(queries)
    return found


def of_lengths(lengths: Sequence[int]) -> Change:
    def changed(table: pa.Table) -> pa.Table:
        place = table.column_names.index("length")
        return table.set_column(place, "length", pa.array(list(lengths), pa.int64()))

    return changed


@pytest.mark.parametrize(
    ("place", "changed"),
    [
        ("data", rows(range(3 * FRAMES))),
        ("data", rows([6, 7, 8, 0, 1, 2, 3, 4, 5])),
        ("data", rows(range(3 * FRAMES - 1, -1, -1))),
        ("meta/episodes", rows([2, 0, 1])),
        ("meta/episodes", of_lengths([2, 4, 3])),
        ("meta/tasks.parquet", rows([2, 1, 0])),
    ],
    ids=("as written", "episodes", "rows", "described", "lengths", "tasks"),
)
def test_every_episode_has_its_own_rows_pictures_and_task_in_whatever_order_the_tables_are(
    copied: Path, place: str, changed: Change
) -> None:
    change(copied / place, changed)
    episodes = asked(copied)
    assert len(episodes) == len(TASKS)
    for number, queries in enumerate(episodes):
        assert [query.step for query in queries] == list(range(FRAMES))
        assert {query.instruction for query in queries} == {TASKS[number]}
        states = [query.frame[STATE].tolist() for query in queries]
        assert states == [[number, step] for step in range(FRAMES)]
        for query in queries:
            assert abs(query.frame[CAMERA].mean() - brightness(number)) < 5


def test_a_vector_of_one_number_is_a_vector(copied: Path) -> None:
    assert asked(copied)[2][1].frame[FORCE].tolist() == [2.0]


def test_a_row_whose_task_has_no_text_is_named_and_others_keep_theirs(copied: Path) -> None:
    change(copied / "meta" / "tasks.parquet", rows([1, 2]))
    first, second, _ = DatasetSource(copied, [STATE], 1).episodes()
    with pytest.raises(ObservationError, match=r"row 0 is of task 0, which has no text"):
        first.play(lambda query: np.zeros((1, 2)))
    told: list[str] = []
    second.play(lambda query: (told.append(query.instruction), np.zeros((1, 2)))[1])
    assert set(told) == {TASKS[1]}


@pytest.mark.parametrize(
    ("place", "order", "words"),
    [
        ("data", [0, 1, 2, 3, 4, 5, 6, 7, 8, 4], "frame 1 of episode 1 twice"),
        ("meta/tasks.parquet", [0, 1, 2, 2], "number 2 twice"),
        ("meta/episodes", [0, 1, 2, 0], "number 0 twice"),
    ],
)
def test_what_has_the_number_of_another_is_refused(
    copied: Path, place: str, order: list[int], words: str
) -> None:
    change(copied / place, rows(order))
    with pytest.raises(ConfigurationError, match=words):
        DatasetSource(copied, [STATE], 1)
