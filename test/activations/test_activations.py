"""Collected activations: written, killed, continued, read, damaged."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from patience import PATIENCE

from vla_sae_ros.activations import shards as episode_shards
from vla_sae_ros.activations.dataset import ActivationDataset
from vla_sae_ros.activations.format import (
    EPISODES_FILE,
    CollectedSite,
    Collection,
    CollectionError,
)
from vla_sae_ros.activations.writer import ActivationWriter
from vla_sae_ros.core.errors import ConfigurationError

WIDTH = 4
COLLECTION = Collection(
    "0123abcd",
    "tiny",
    {
        "backbone.1": CollectedSite(WIDTH, "mean", ("camera", "language")),
        "expert.0": CollectedSite(WIDTH, "token", ("action",)),
    },
    20.0,
)


def vector(episode: str, step: int) -> np.ndarray:
    return np.array([float(episode[1:]), step, 0.5, -1.0], np.float32)


def write_episode(writer: ActivationWriter, episode: str, steps: int = 6, end: bool = True) -> None:
    for step in range(0, 5 * steps, 5):
        context = {
            "episode_id": episode,
            "step": step,
            "task": "soup",
            "instruction": "pick up the soup",
            "seed": 3,
            "state": np.arange(8.0),
            "action": np.zeros(7, np.float32),
            "object_positions": {"soup": [0.1, 0.2, 0.3]},
        }
        writer("backbone.1", vector(episode, step), context)
        writer("expert.0", np.stack([vector(episode, step)] * 3), context)
    if end:
        writer.end_episode(success=True)


def test_what_was_written_is_read_back_in_order(tmp_path: Path) -> None:
    with ActivationWriter(tmp_path / "a", COLLECTION, shard_rows=4) as writer:
        for episode in ("e0", "e1"):
            write_episode(writer, episode)
    dataset = ActivationDataset.open(tmp_path / "a")
    assert dataset.collection == COLLECTION
    assert [one.episode_id for one in dataset.episodes] == ["e0", "e1"]
    assert dataset.episodes[0].success is True and dataset.episodes[0].steps == 6
    pooled, tokens = dataset.load("backbone.1"), dataset.load("expert.0", dataset.episodes[1:])
    expected = [vector(episode, step) for episode in ("e0", "e1") for step in range(0, 30, 5)]
    np.testing.assert_array_equal(pooled.rows[:], np.stack(expected))
    np.testing.assert_array_equal(pooled.episode, [0] * 6 + [1] * 6)
    assert pooled.steps[7].step == 5 and pooled.steps[7].object_positions["soup"][2] == 0.3
    np.testing.assert_array_equal(tokens.rows[:], np.repeat(np.stack(expected[6:]), 3, axis=0))
    np.testing.assert_array_equal(tokens.first_row, np.arange(0, 18, 3))


def test_a_buffer_that_is_used_again_does_not_change_what_was_taken(tmp_path: Path) -> None:
    buffer = np.zeros(WIDTH, np.float32)
    with ActivationWriter(tmp_path / "a", COLLECTION) as writer:
        for step in range(3):
            buffer[:] = step
            writer("backbone.1", buffer, {"episode_id": "e0", "step": step})
        writer.end_episode()
    rows = ActivationDataset.open(tmp_path / "a").load("backbone.1").rows[:]
    np.testing.assert_array_equal(rows[:, 0], [0, 1, 2])


def test_a_continued_folder_keeps_finished_episodes_and_drops_the_unfinished(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "a"
    with ActivationWriter(folder, COLLECTION) as writer:
        write_episode(writer, "e0")
        write_episode(writer, "e1", steps=3, end=False)
    with ActivationWriter(folder, COLLECTION) as writer:
        assert writer.completed_episodes == {"e0"}
        write_episode(writer, "e1")
    dataset = ActivationDataset.open(folder)
    assert [one.episode_id for one in dataset.episodes] == ["e0", "e1"]
    assert len(dataset.load("backbone.1").rows) == 12


KILLED = """
import sys
sys.path[:0] = {folders!r}
from test_activations import COLLECTION, write_episode
from vla_sae_ros.activations.writer import ActivationWriter
writer = ActivationWriter({folder!r}, COLLECTION, shard_rows=2)
write_episode(writer, "e0")
write_episode(writer, "e1", steps=4, end=False)
writer.flush()
print("written", flush=True)
sys.stdin.read()
"""


def test_killing_the_writer_loses_the_current_episode_only(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    here = Path(__file__).parent
    script = KILLED.format(folders=[str(here), str(here.parent / "helpers")], folder=str(folder))
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline().strip() == "written"
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=PATIENCE)
    assert list((folder / "backbone.1").glob("unfinished-*"))
    assert len(ActivationDataset.open(folder).load("backbone.1").rows) == 6
    with ActivationWriter(folder, COLLECTION) as writer:
        assert not list((folder / "backbone.1").glob("unfinished-*"))
        write_episode(writer, "e1")
    assert len(ActivationDataset.open(folder).load("backbone.1").rows) == 12


def test_an_episode_line_that_was_being_written_does_not_count(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    with ActivationWriter(folder, COLLECTION) as writer:
        write_episode(writer, "e0")
        write_episode(writer, "e1")
    path = folder / EPISODES_FILE
    path.write_bytes(path.read_bytes()[:-9])
    assert [one.episode_id for one in ActivationDataset.open(folder).episodes] == ["e0"]
    with ActivationWriter(folder, COLLECTION) as writer:
        write_episode(writer, "e1")
    assert [one.episode_id for one in ActivationDataset.open(folder).episodes] == ["e0", "e1"]


def test_a_slow_disk_makes_the_caller_wait_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stalled, go = threading.Event(), threading.Event()
    write = episode_shards.write_whole

    def slow(path: Path, content: bytes) -> None:
        stalled.set()
        assert go.wait(PATIENCE)
        write(path, content)

    monkeypatch.setattr(episode_shards, "write_whole", slow)
    writer = ActivationWriter(tmp_path / "a", COLLECTION, shard_rows=1, queue_size=2)
    caller = threading.Thread(target=write_episode, args=(writer, "e0"))
    caller.start()
    assert stalled.wait(PATIENCE)
    go.set()
    caller.join(PATIENCE)
    writer.close()
    assert writer.stalls > 0
    assert len(ActivationDataset.open(tmp_path / "a").load("backbone.1").rows) == 6


def test_a_full_disk_is_reported_and_finished_episodes_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "a"
    writer = ActivationWriter(folder, COLLECTION, queue_size=2)
    write_episode(writer, "e0")
    writer.flush()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(episode_shards, "write_whole", full)
    with pytest.raises(CollectionError, match="No space left"):
        write_episode(writer, "e1", steps=2)
        writer.flush()
    with pytest.raises(CollectionError, match="No space left"):
        write_episode(writer, "e2")
    with pytest.raises(CollectionError, match="Finished episodes are intact"):
        writer.close()
    monkeypatch.undo()
    assert [one.episode_id for one in ActivationDataset.open(folder).episodes] == ["e0"]


@pytest.mark.parametrize(
    ("site", "rows", "context", "said"),
    [
        ("backbone.9", np.zeros(4), {}, "backbone.9"),
        ("backbone.1", np.zeros(5), {}, r"\(4,\)"),
        ("backbone.1", np.zeros((2, 4)), {}, r"\(4,\)"),
        ("expert.0", np.zeros((0, 4)), {}, "tokens"),
        ("backbone.1", np.full(4, np.nan), {}, "NaN"),
        ("backbone.1", np.zeros(4), {"state": [np.inf]}, "state"),
        ("backbone.1", np.zeros(4), {"episode": "e1"}, "episode"),
        ("backbone.1", np.zeros(4), {"episode_id": "e0"}, "already complete"),
    ],
)
def test_activations_that_cannot_be_kept_are_refused_and_nothing_is_taken(
    tmp_path: Path, site: str, rows: np.ndarray, context: dict[str, object], said: str
) -> None:
    with ActivationWriter(tmp_path / "a", COLLECTION) as writer:
        write_episode(writer, "e0")
        with pytest.raises(CollectionError, match=said):
            writer(site, rows, {"episode_id": "e1", "step": 0, **context})
        with pytest.raises(CollectionError, match="without any activations"):
            writer.end_episode()
    assert len(ActivationDataset.open(tmp_path / "a").episodes) == 1


def test_a_closed_writer_says_so(tmp_path: Path) -> None:
    writer = ActivationWriter(tmp_path / "a", COLLECTION)
    writer.close()
    writer.close()
    with pytest.raises(CollectionError, match="is closed"):
        write_episode(writer, "e0")


def test_a_folder_of_another_collection_is_refused_by_what_differs(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    ActivationWriter(folder, COLLECTION).close()
    other = Collection("ffff", "tiny", COLLECTION.sites, 20.0)
    with pytest.raises(ConfigurationError, match=r"policy_id \('0123abcd' there, 'ffff' now\)"):
        ActivationWriter(folder, other)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "thesis.tex").write_text("work of years")
    with pytest.raises(ConfigurationError, match="not empty"):
        ActivationWriter(tmp_path / "b", COLLECTION)
    with pytest.raises(ConfigurationError, match="not a folder of activations"):
        ActivationDataset.open(tmp_path / "b")


def test_two_writers_cannot_undo_one_another_in_one_folder(tmp_path: Path) -> None:
    with ActivationWriter(tmp_path / "a", COLLECTION, shard_rows=1) as writer:
        write_episode(writer, "e0", end=False)
        writer.flush()
        with pytest.raises(ConfigurationError, match="being written by another process"):
            ActivationWriter(tmp_path / "a", COLLECTION)
        writer.end_episode(True)
    with ActivationWriter(tmp_path / "a", COLLECTION) as writer:
        assert writer.completed_episodes == {"e0"}


def test_a_folder_says_which_picture_was_which_input_and_older_ones_do_not(tmp_path: Path) -> None:
    one, other = (replace(COLLECTION, inputs={"image": name}) for name in ("agentview", "wrist"))
    ActivationWriter(tmp_path / "new", one).close()
    with pytest.raises(ConfigurationError, match="inputs"):
        ActivationWriter(tmp_path / "new", other)
    ActivationWriter(tmp_path / "old", COLLECTION).close()
    ActivationWriter(tmp_path / "old", one).close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Ten episodes to split and damage."""
    with ActivationWriter(tmp_path / "a", COLLECTION) as writer:
        for number in range(10):
            write_episode(writer, f"e{number}", steps=2)
    return tmp_path / "a"


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize(("share", "count"), [(0.01, 1), (0.3, 3), (0.99, 9)])
def test_a_split_never_mixes_episodes(folder: Path, share: float, count: int, seed: int) -> None:
    dataset = ActivationDataset.open(folder)
    training, held_out = dataset.split(share, seed)
    assert len(held_out) == count and len(training) == 10 - count
    ids = [{one.episode_id for one in part} for part in (training, held_out)]
    assert not ids[0] & ids[1] and len(ids[0] | ids[1]) == 10
    rows = [dataset.load("backbone.1", part).rows[:][:, 0] for part in (training, held_out)]
    assert not set(rows[0].tolist()) & set(rows[1].tolist())
    assert dataset.split(share, seed) == (training, held_out)


def test_another_seed_holds_other_episodes_out(folder: Path) -> None:
    dataset = ActivationDataset.open(folder)
    assert len({dataset.split(0.3, seed)[1][0].episode_id for seed in range(8)}) > 1


def test_a_split_without_two_parts_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="held-out share"):
        ActivationDataset.open(folder).split(1.0)
    with ActivationWriter(tmp_path / "one", COLLECTION) as writer:
        write_episode(writer, "e0")
    with pytest.raises(ConfigurationError, match="at least 2"):
        ActivationDataset.open(tmp_path / "one").split(0.5)


def test_a_truncated_missing_or_foreign_shard_is_named(folder: Path) -> None:
    dataset = ActivationDataset.open(folder)
    shard = folder / "backbone.1" / "000003-0000.safetensors"
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-5])
    with pytest.raises(CollectionError, match=r"000003-0000\.safetensors is missing or truncated"):
        dataset.load("backbone.1")
    shard.unlink()
    with pytest.raises(CollectionError, match=r"000003-0000\.safetensors is missing"):
        dataset.load("backbone.1")
    shard.write_bytes(whole.replace(np.float32(0.5).tobytes(), np.float32(np.nan).tobytes()))
    with pytest.raises(CollectionError, match="NaN"):
        dataset.load("backbone.1")
    assert len(dataset.load("expert.0").rows) == 60


def test_an_index_of_other_rows_or_another_episode_is_named(folder: Path) -> None:
    dataset = ActivationDataset.open(folder)
    index = folder / "backbone.1" / "000003-0000.jsonl"
    lines = index.read_text().splitlines()
    index.write_text(lines[0] + "\n")
    with pytest.raises(CollectionError, match="not an index of 2 rows"):
        dataset.load("backbone.1")
    index.write_text("\n".join(lines).replace("e3", "e4"))
    with pytest.raises(CollectionError, match="of another episode than 'e3'"):
        dataset.load("backbone.1")


@pytest.mark.parametrize(
    "edited",
    [
        {"success": "no"},
        {"complete": "false"},
        {"episode_id": 3},
        {"shards": None},
        {"shards": {"backbone.1": [["000000-0000", "2"]]}},
        {"shards": {"backbone.1": [5]}},
    ],
)
def test_an_episode_line_that_was_edited_wrongly_is_named(
    folder: Path, edited: dict[str, object]
) -> None:
    lines = (folder / "episodes.jsonl").read_text().splitlines()
    lines[2] = json.dumps(json.loads(lines[2]) | edited)
    (folder / "episodes.jsonl").write_text("\n".join(lines) + "\n")
    with pytest.raises(CollectionError, match=r"Line 3 of .*episodes\.jsonl is damaged"):
        ActivationDataset.open(folder)


@pytest.mark.parametrize("edited", [{"step": "3"}, {"step": None}, {"rows": "1"}, {"rows": -1}])
def test_an_index_with_other_than_whole_numbers_is_named(
    folder: Path, edited: dict[str, object]
) -> None:
    index = folder / "backbone.1" / "000003-0000.jsonl"
    lines = index.read_text().splitlines()
    lines[0] = json.dumps(json.loads(lines[0]) | edited)
    index.write_text("\n".join(lines) + "\n")
    with pytest.raises(CollectionError, match=r"000003-0000\.jsonl .*step is .* rows is"):
        ActivationDataset.open(folder).load("backbone.1")


def test_an_empty_episode_or_an_unknown_site_is_refused(folder: Path) -> None:
    path = folder / EPISODES_FILE
    lines = path.read_text().splitlines()
    last = json.loads(lines[-1])
    path.write_text("\n".join([*lines[:-1], json.dumps({**last, "shards": {}})]) + "\n")
    dataset = ActivationDataset.open(folder)
    with pytest.raises(CollectionError, match=r"'e9'.*no activations"):
        dataset.load("backbone.1")
    with pytest.raises(ConfigurationError, match=r"backbone\.7"):
        dataset.load("backbone.7")
    path.write_text("")
    with pytest.raises(CollectionError, match="no complete episode"):
        ActivationDataset.open(folder)
