"""Every tool reads the bags of every version.

`recorded_by_0_1_0` was written by version 0.1.0: two episodes of a tiny policy with PNG
pictures, in the namespace /robot. It is never made again; a later version adds a bag of its own.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from vla_sae_ros import cli
from vla_sae_ros.bags.opened_bag import open_bag
from vla_sae_ros.bags.reading import Bag, read_bag
from vla_sae_ros.bags.recorded_frames import RecordedFrames
from vla_sae_ros.bags.recorded_inferences import recorded_inferences
from vla_sae_ros.core.commander import Commander
from vla_sae_ros.core.contract import load_contract
from vla_sae_ros.core.errors import ObservationError
from vla_sae_ros.resources import resource

OLD = Path(__file__).with_name("recorded_by_0_1_0")
TICKS = 33


@pytest.fixture(scope="module")
def bag() -> Bag:
    return read_bag(OLD)


def test_everything_in_it_is_read(bag: Bag) -> None:
    assert bag.findings.whole, list(bag.findings.in_words())
    assert [(each.episode_id, each.status.name) for each in bag.episodes] == [
        ("e1", "SUCCEEDED"),
        ("e2", "SUCCEEDED"),
    ]
    first = bag.episodes[0]
    assert set(first.commander) <= {Commander.POLICY, Commander.HOLD}, "it knows no person"
    assert first.actions.shape == (TICKS, 7) and first.joints.values.shape[1] == 7
    assert sorted(first.features) == ["backbone.0", "expert.1"]
    assert first.features["expert.1"].edited() == [2]
    assert {note.kind for note in first.notes} == {"SET", "BYPASS"}
    assert first.pictures["wrist"][0].shape == (256, 256, 3)
    assert [each.text for each in bag.annotations] == ["die Hand zögert"] * 2
    assert set(bag.catalogues) == {"backbone.0", "expert.1"}
    assert bag.descriptions[0].values["policy_id"]


def test_every_inference_has_its_steering_and_its_frame() -> None:
    with open_bag(OLD) as opened:
        recorded = recorded_inferences(opened)
        assert len(recorded.inferences) == 28 and recorded.unasked == 0
        assert all(each.snapshot is not None for each in recorded.inferences)
        contract = load_contract(resource("config", "contracts", "libero.yaml"))
        for _, frame in RecordedFrames(opened, contract).of(recorded.inferences):
            assert not isinstance(frame, ObservationError), str(frame)


def test_info_tells_all_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["bag", "info", "--json", str(OLD)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["messages"] == 348 and told["namespace"] == "/robot"
    assert all(each["missing"] == 0 for each in told["losses"])


def test_its_tables_have_every_row(tmp_path: Path) -> None:
    assert (
        cli.main(["bag", "export", str(OLD), "--to", "csv", "--output", str(tmp_path / "o")]) == 0
    )
    rows = {
        path.stem: len(list(csv.reader(path.open(encoding="utf-8")))) - 1
        for path in (tmp_path / "o").glob("*.csv")
    }
    assert (rows["episodes"], rows["actions"], rows["inferences"]) == (2, 2 * TICKS, 56)
    assert (rows["events"], rows["annotations"]) == (4, 2)


def test_it_is_complete_and_can_be_copied_whole_by_repair(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["bag", "repair", str(OLD)]) == 0
    assert "nothing to repair" in capsys.readouterr().out
    file = next(OLD.glob("*.mcap"))
    assert cli.main(["bag", "repair", str(file), "--output", str(tmp_path / "again")]) == 0
    again = read_bag(tmp_path / "again", pictures=False)
    np.testing.assert_array_equal(again.episodes[1].actions, read_bag(OLD).episodes[1].actions)


@pytest.mark.slow
def test_it_is_plotted_compared_and_filmed(tmp_path: Path) -> None:
    for command in (
        ["plot", str(OLD), "--output", str(tmp_path / "plots")],
        ["compare", str(OLD), "--output", str(tmp_path / "compare")],
        ["video", str(OLD), "--output", str(tmp_path / "film.mp4")],
    ):
        assert cli.main(["bag", *command]) == 0, command
