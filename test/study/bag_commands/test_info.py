"""A bag says what is in it, who steered when, and what is missing."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path

import pytest
from rosbags.rosbag2 import StoragePlugin, Writer

from vla_sae_ros import cli
from vla_sae_ros.bags.opened_bag import open_bag
from vla_sae_ros.study.bag_commands.facts import BagFacts, read_facts
from vla_sae_ros.study.bag_commands.losses import missing


@pytest.fixture(scope="module")
def facts(synthetic_bag: Path) -> BagFacts:
    return read_facts(synthetic_bag)[0]


def test_each_episode_is_told_with_its_result(facts: BagFacts) -> None:
    assert [
        (each.episode_id, each.status, each.steps, each.seed, each.clock) for each in facts.episodes
    ] == [("plain", "FAILED", 60, 7, "lockstep"), ("steered", "SUCCEEDED", 40, 7, "lockstep")]
    assert 0 <= facts.episodes[0].begin < facts.episodes[0].end < facts.episodes[1].begin


def test_a_steering_window_says_who_what_and_when(facts: BagFacts) -> None:
    (window,) = facts.edits
    assert (window.owner, window.site, window.feature, window.mode, window.value) == (
        "test",
        "backbone.1",
        7,
        "CLAMP",
        4.0,
    )
    assert (window.episode_id, window.first_step, window.last_step) == ("steered", 10, 30)
    assert window.until_ns - window.since_ns == 20 * 12_500_000


def test_rates_and_gaps_of_a_topic_are_those_of_its_messages(facts: BagFacts) -> None:
    topics = {each.name: each for each in facts.topics}
    actions = topics["/executed_action"]
    assert actions.messages == 100
    assert actions.longest_gap > 0.1, "the pause between the episodes"
    assert actions.longest_gap_at == pytest.approx(59 * 0.0125, abs=0.01)
    assert math.isnan(topics["/policy/catalogue"].rate)
    assert sum(each.messages for each in facts.topics) == facts.messages


def test_in_a_whole_bag_nothing_is_missing(facts: BagFacts) -> None:
    assert {each.sequence: (each.present, each.missing) for each in facts.losses} == {
        "executed_action of plain": (60, 0),
        "executed_action of steered": (40, 0),
        "policy/features of backbone.1": (20, 0),
    }


def test_ticks_that_were_executed_and_not_recorded_are_missing(
    synthetic_bag: Path, tmp_path: Path
) -> None:
    """The bag again, without two ticks of the one episode and the last three of the other."""
    lost = {("plain", 5), ("plain", 6), ("steered", 37), ("steered", 38), ("steered", 39)}
    folder = tmp_path / "lossy"
    with (
        open_bag(synthetic_bag) as reader,
        Writer(folder, version=9, storage_plugin=StoragePlugin.MCAP) as writer,
    ):
        made = {
            each.id: writer.add_connection(
                each.topic, each.msgtype, msgdef=each.msgdef.data, rihs01=each.digest
            )
            for each in reader.connections
        }
        for connection, received, raw in reader.messages():
            if connection.topic == "/executed_action":
                message = reader.deserialize(raw, connection)
                if (message.episode_id, message.step) in lost:
                    continue
            writer.write(made[connection.id], received, raw)
    found = {each.sequence: (each.present, each.missing) for each in read_facts(folder)[0].losses}
    assert found["executed_action of plain"] == (58, 2)
    assert found["executed_action of steered"] == (37, 3)


@pytest.mark.parametrize("seed", range(5))
def test_every_number_taken_out_of_the_middle_is_counted(seed: int) -> None:
    chance = random.Random(seed)
    runs = [list(range(first, first + 50)) for first in (1, chance.randrange(1, 20))]
    taken = 0
    for run in runs:
        for number in chance.sample(run[1:-1], chance.randrange(10)):
            run.remove(number)
            taken += 1
    assert missing([*runs[0], *runs[1]]) == taken


def test_no_number_or_one_lacks_nothing() -> None:
    assert missing([]) == missing([7]) == 0


def test_the_report_names_episodes_edits_remarks_and_nodes(
    synthetic_bag: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["bag", "info", str(synthetic_bag)]) == 0
    said = capsys.readouterr().out
    for words in (
        "steered: SUCCEEDED after 40 steps",
        "from step 10 to 30 of steered",
        "clamp feature 7 of backbone.1",
        "eva, step 12 of steered: the hand stops",
        "/policy 0.1.0: policy_id p1",
        "no gaps: 120 numbered messages",
    ):
        assert words in said


def test_the_json_has_everything_in_plain_form(
    synthetic_bag: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["bag", "info", "--json", str(synthetic_bag)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["episodes"][1]["status"] == "SUCCEEDED"
    assert told["edits"][0]["feature"] == 7
    assert told["descriptions"][0]["values"]["policy_id"] == "p1"
    assert told["annotations"][0]["text"] == "now with the edit"


def test_what_is_no_bag_is_refused_with_the_way_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["bag", "info", str(tmp_path)]) == 1
    assert "vla-sae bag repair" in capsys.readouterr().err


def test_a_folder_that_does_not_exist_is_said_to_be_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["bag", "info", str(tmp_path / "nowhere")]) == 1
    said = capsys.readouterr().err
    assert "no such folder" in said and str(tmp_path / "nowhere") in said
