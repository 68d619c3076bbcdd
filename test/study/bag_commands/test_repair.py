"""After a crash every complete message is there again, and what is lost is said."""

from __future__ import annotations

import io
import random
import shutil
from pathlib import Path

import pytest
from mcap.reader import make_reader
from rosbags.highlevel import AnyReader

from vla_sae_ros import cli
from vla_sae_ros.bags.opened_bag import open_bag
from vla_sae_ros.bags.reading import read_bag
from vla_sae_ros.core.errors import RecordingError
from vla_sae_ros.study.bag_commands.repair import in_words, repair

Messages = list[tuple[str, int, bytes]]


def content(folder: Path) -> Messages:
    with AnyReader([folder]) as reader:
        return [(c.topic, received, raw) for c, received, raw in reader.messages()]


@pytest.fixture(scope="module")
def whole(synthetic_bag: Path) -> bytes:
    return (synthetic_bag / "synthetic.mcap").read_bytes()


@pytest.fixture
def crashed(tmp_path: Path, whole: bytes):
    """Return a function that makes a bag as a crash leaves it, of the given bytes."""

    def make(left: bytes = whole, name: str = "crashed") -> Path:
        folder = tmp_path / name
        folder.mkdir()
        (folder / f"{name}.mcap").write_bytes(left)
        return folder

    return make


def test_without_metadata_everything_is_recovered_with_types_hashes_and_qos(
    crashed, synthetic_bag: Path
) -> None:
    bag = crashed()
    result = repair(bag, bag.with_name("new"))
    assert content(result.output) == content(synthetic_bag)
    assert result.messages == len(content(synthetic_bag)) and result.findings.whole
    with open_bag(result.output) as new, open_bag(synthetic_bag) as old:
        told = [
            {c.topic: (c.msgtype, c.digest, c.msgdef, c.ext) for c in reader.connections}
            for reader in (new, old)
        ]
    assert told[0] == told[1]
    assert [each.episode_id for each in read_bag(result.output).episodes] == ["plain", "steered"]


def test_wherever_the_file_is_cut_off_a_prefix_of_the_messages_comes_back(
    crashed, whole: bytes, synthetic_bag: Path, tmp_path: Path
) -> None:
    stream = make_reader(io.BytesIO(whole)).iter_messages(log_time_order=False)
    expected = [(c.topic, m.log_time, m.data) for _, c, m in stream]
    places = sorted(random.Random(1).sample(range(len(whole)), 25))
    found = []
    for place in places:
        bag = crashed(whole[:place], f"cut{place}")
        result = repair(bag, tmp_path / f"new{place}")
        recovered = content(result.output)
        assert sorted(recovered) == sorted(expected[: len(recovered)])
        assert len(recovered) == result.messages
        assert not result.findings.whole or len(recovered) == len(expected), (
            "what is missing is said"
        )
        found.append(len(recovered))
    assert found == sorted(found) and found[-1] > 0.8 * len(expected)


def test_a_damaged_byte_costs_no_more_than_what_it_touches(
    crashed, whole: bytes, tmp_path: Path
) -> None:
    chance = random.Random(2)
    for number in range(12):
        place = chance.randrange(8, len(whole))
        broken = whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :]
        result = repair(crashed(broken, f"broken{number}"), tmp_path / f"new{number}")
        assert len(content(result.output)) == result.messages
    assert (tmp_path / "broken0" / "broken0.mcap").read_bytes() != whole


@pytest.mark.parametrize("left", [b"", b"\x89MC"])
def test_an_empty_file_gives_an_empty_bag_that_can_be_opened(crashed, left: bytes) -> None:
    bag = crashed(left)
    result = repair(bag, bag.with_name("new"))
    assert content(result.output) == [] and result.messages == 0
    assert "0 messages recovered" in in_words(result)


def test_messages_whose_type_was_damaged_are_counted_as_lost(
    crashed, whole: bytes, synthetic_bag: Path
) -> None:
    bag = crashed(whole.replace(b"string author", b"??????" + b" author"))
    result = repair(bag, bag.with_name("new"))
    kept = content(result.output)
    assert kept == [each for each in content(synthetic_bag) if each[0] != "/annotation"]
    assert "lost: 2 messages of /annotation: its definition cannot be read" in in_words(result)


def test_the_original_is_left_as_it_is(crashed, whole: bytes) -> None:
    bag = crashed(whole[:-100])
    repair(bag, bag.with_name("new"))
    assert [path.name for path in bag.iterdir()] == ["crashed.mcap"]
    assert (bag / "crashed.mcap").read_bytes() == whole[:-100]


def test_what_cannot_be_repaired_is_refused_with_the_reason(crashed, tmp_path: Path) -> None:
    bag = crashed(b"SQLite format 3\0")
    with pytest.raises(RecordingError, match="not an MCAP file"):
        repair(bag, tmp_path / "new")
    with pytest.raises(RecordingError, match="exists already"):
        repair(bag, tmp_path)
    with pytest.raises(RecordingError, match="nothing to repair"):
        repair(tmp_path / "nowhere", tmp_path / "other")


def test_the_command_says_what_was_lost_and_leaves_a_complete_bag_alone(
    crashed, whole: bytes, synthetic_bag: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bag = crashed(whole[: len(whole) // 2])
    assert cli.main(["bag", "repair", str(bag)]) == 3
    said = capsys.readouterr().out
    assert f"recovered into {bag}_repaired" in said and "lost: " in said
    assert content(bag.with_name("crashed_repaired"))
    assert cli.main(["bag", "repair", str(synthetic_bag)]) == 0
    assert "nothing to repair" in capsys.readouterr().out
    assert not synthetic_bag.with_name("synthetic_repaired").exists()
    shutil.rmtree(bag)
