"""What is exported comes back as the numbers of the bag, in tables and as a LeRobotDataset."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pandas
import pyarrow.parquet as parquet
import pytest
from bag_fixtures import PERSON

from vla_sae_ros import cli
from vla_sae_ros.bags.reading import Bag, read_bag
from vla_sae_ros.core.errors import RecordingError
from vla_sae_ros.study.bag_commands.export import COLUMNS, export_tables
from vla_sae_ros.study.bag_commands.tables import TABLES

CONTRACT = """
robot_type: test
robot_interface: ros2
fps: 20
observations:
  observation.images.agentview:
    channel: {topic: observation/image/agentview, type: sensor_msgs/msg/Image}
    align: {strategy: asof, timeline: header, tolerance_ms: 0}
  observation.state:
    channel: {topic: ee_pose, type: geometry_msgs/msg/PoseStamped}
    align: {strategy: asof, timeline: header, tolerance_ms: 0}
    select: [pose.position.x, pose.position.z]
actions:
  action:
    channel: {topic: executed_action, type: vla_sae_ros/msg/ExecutedAction, safety: zeros}
    align: {strategy: hold, timeline: header}
    select: [action.0]
"""


@pytest.fixture(scope="module")
def bag(synthetic_bag: Path) -> Bag:
    return read_bag(synthetic_bag)


def test_parquet_gives_back_the_bags_numbers_with_units(bag: Bag, tmp_path: Path) -> None:
    export_tables(bag, tmp_path / "out", "parquet")
    read = {name: pandas.read_parquet(tmp_path / "out" / f"{name}.parquet") for name in TABLES}
    steered = bag.episodes[1]
    actions = read["actions"].query("episode_id == 'steered'")
    np.testing.assert_array_equal(actions.filter(like="action_").to_numpy(), steered.actions)
    assert actions["step"][actions["intervention"]].tolist() == list(PERSON)
    assert set(actions["source"][actions["intervention"]]) == {"person"}
    states = read["states"].query("episode_id == 'steered'")
    np.testing.assert_array_equal(states[["x", "y", "z"]].to_numpy(), steered.position.values)
    np.testing.assert_array_equal(states["step"], steered.position.step)
    features = read["features"].query("episode_id == 'steered' and feature == 7")
    np.testing.assert_array_equal(
        features["applied"], steered.features["backbone.1"].dense([7])[1][:, 0]
    )
    assert read["episodes"]["status"].tolist() == ["FAILED", "SUCCEEDED"]
    assert read["episodes"]["actions_sha256"][1] == steered.actions_sha256
    assert read["events"]["kind"].tolist() == ["SET", "RELEASED"]
    assert read["annotations"]["text"].tolist() == ["now with the edit", "the hand stops"]
    field = parquet.read_schema(tmp_path / "out" / "states.parquet").field("x")
    assert field.metadata[b"unit"] == b"m"


def test_csv_has_the_same_rows_and_says_what_its_columns_are(bag: Bag, tmp_path: Path) -> None:
    for kind in ("csv", "parquet"):
        export_tables(bag, tmp_path / kind, kind)
    for name in TABLES:
        ours = pandas.read_csv(
            tmp_path / "csv" / f"{name}.csv", keep_default_na=False, na_values=["nan"]
        )
        theirs = pandas.read_parquet(tmp_path / "parquet" / f"{name}.parquet")
        assert list(ours.columns) == list(theirs.columns)
        assert len(ours) == len(theirs)
    rows = list(csv.DictReader((tmp_path / "csv" / COLUMNS).open()))
    told = {(row["table"], row["column"].rstrip("*")) for row in rows}
    for name in TABLES:
        for column in pandas.read_csv(tmp_path / "csv" / f"{name}.csv", nrows=0).columns:
            stem = column.rstrip("0123456789")
            assert (name, column) in told or (name, stem) in told, "every column is explained"


def test_a_bag_without_an_episode_keeps_its_states_outside_any(tmp_path: Path, make_bag) -> None:
    folder = make_bag(tmp_path / "empty")
    tables = export_tables(read_bag(folder), tmp_path / "out", "parquet")
    rows = {name: table.num_rows for name, table in tables.items()}
    assert rows == dict.fromkeys(TABLES, 0) | {"states": 1}
    (state,) = tables["states"].to_pylist()
    assert (state["episode_id"], state["step"], state["received"]) == ("", -1, 0.0)
    assert list(tables["features"].column_names) == [c.name for c in TABLES["features"]]


def test_an_existing_folder_is_refused(
    synthetic_bag: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["bag", "export", str(synthetic_bag), "--to", "csv", "--output", str(tmp_path)]
    assert cli.main(command) == 2
    assert "exists already" in capsys.readouterr().err


@pytest.mark.slow
def test_a_lerobot_dataset_loads_back_with_the_bags_frames(
    synthetic_bag: Path, bag: Bag, tmp_path: Path
) -> None:
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    from vla_sae_ros.study.bag_commands.lerobot import export_lerobot

    contract = tmp_path / "contract.yaml"
    contract.write_text(CONTRACT)
    output = tmp_path / "dataset"
    with pytest.raises(RecordingError, match=r"at tick 1 of plain.*--max-age 4"):
        export_lerobot(synthetic_bag, output, contract, 0)
    assert not output.exists()
    said, findings = export_lerobot(synthetic_bag, output, contract, 4)
    assert "100 frames of 2 episodes at 20 Hz" in said and findings.whole

    dataset = LeRobotDataset("vla_sae_ros/dataset", root=output)
    assert (dataset.num_frames, dataset.num_episodes, dataset.fps) == (100, 2, 20)
    steered = bag.episodes[1]
    for step in (0, 7, 39):
        frame = dataset[60 + step]
        seen = step // 5 * 5
        assert frame["observation.age"].item() == step - seen
        np.testing.assert_array_equal(frame["action"], steered.actions[step])
        np.testing.assert_allclose(frame["observation.state"], [1.0, 0.9 + seen / 1000])
        picture = (frame["observation.images.agentview"].numpy() * 255).round().astype(np.uint8)
        np.testing.assert_array_equal(
            picture.transpose(1, 2, 0), steered.pictures["agentview"][seen]
        )
        assert frame["task"] == "pick up the soup"
    by_person = [step for step in range(40) if dataset[60 + step]["intervention"].item()]
    assert by_person == list(PERSON)
    assert not any(dataset[step]["intervention"].item() for step in range(60))


@pytest.mark.slow
def test_a_bag_without_pictures_makes_no_lerobot_dataset(tmp_path: Path, make_bag) -> None:
    from vla_sae_ros.study.bag_commands.lerobot import export_lerobot

    contract = tmp_path / "contract.yaml"
    contract.write_text(CONTRACT)
    with pytest.raises(RecordingError, match=r"observation/image/agentview.*--images"):
        export_lerobot(make_bag(tmp_path / "bag"), tmp_path / "out", contract, 0)
