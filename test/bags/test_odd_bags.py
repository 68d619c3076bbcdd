"""What is unusual in a bag is kept and said; nothing is mixed up or dropped without a word."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bag_fixtures import PERIOD, START, SyntheticBag, write_episode

from vla_sae_ros import cli
from vla_sae_ros.bags.opened_bag import open_bag
from vla_sae_ros.bags.reading import Bag, read_bag
from vla_sae_ros.bags.system import WIRE_TYPES
from vla_sae_ros.core.errors import RecordingError
from vla_sae_ros.study.bag_commands.facts import read_facts
from vla_sae_ros.study.bag_commands.tables import tables

JOINTS = "sensor_msgs/msg/JointState"


@pytest.fixture
def made(tmp_path: Path) -> Callable[..., Path]:
    """Return a maker of a bag with one plain episode of 10 steps and what `more` writes."""

    def make(more: Callable[[SyntheticBag], None] = lambda bag: None, episode: bool = True) -> Path:
        folder = tmp_path / "bag"
        bag = SyntheticBag(folder)
        if episode:
            write_episode(bag, "plain", 0, START, 10)
        more(bag)
        bag.writer.close()
        return folder

    return make


def joints(bag: SyntheticBag, topic: str, names: list[str], values: Any, step: int) -> None:
    bag.write(
        START + step * PERIOD // 4 + 7,
        topic,
        JOINTS,
        header=bag.header(START + step * PERIOD),
        name=names,
        position=np.array(values, np.float64),
    )


def said(bag: Bag) -> str:
    return "\n".join(bag.findings.in_words())


def test_topics_of_another_type_or_arm_are_not_taken_for_the_systems_own(
    made: Callable[..., Path],
) -> None:
    def more(bag: SyntheticBag) -> None:
        bag.write(START, "/logger/episode", "std_msgs/msg/String", data="x")
        joints(bag, "/left/gripper", ["a", "b", "c"], [1, 2, 3], 0)

    bag = read_bag(made(more))
    assert [each.episode_id for each in bag.episodes] == ["plain"] and bag.findings.whole
    np.testing.assert_array_equal(bag.episodes[0].gripper.values[0], [0.04, -0.04])


def test_of_two_systems_one_is_read_and_the_other_is_named(
    made: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    def more(bag: SyntheticBag) -> None:
        bag.write(
            START,
            "/right/executed_action",
            "vla_sae_ros/msg/ExecutedAction",
            header=bag.header(START),
            episode_id="other",
            action=np.zeros(7, np.float32),
        )

    folder = made(more)
    bag = read_bag(folder)
    assert [each.episode_id for each in bag.episodes] == ["plain"]
    assert "--namespace /right" in said(bag) and not bag.findings.whole
    other = read_bag(folder, namespace="/right")
    assert [each.episode_id for each in other.episodes] == ["other"]
    assert cli.main(["bag", "info", str(folder), "--namespace", "/nobody"]) == 1
    assert "/right" in capsys.readouterr().err
    with pytest.raises(RecordingError, match="no system"):
        read_bag(folder, namespace="left")


def test_arms_and_grippers_that_share_a_topic_have_columns_of_their_own(
    made: Callable[..., Path],
) -> None:
    def more(bag: SyntheticBag) -> None:
        for step in range(0, 10, 2):
            joints(bag, "/joint_states", ["a", "b"], [step, -step], step)
            joints(bag, "/joint_states", ["finger"], [0.5], step)
            joints(bag, "/joint_states", ["a", "b"], [], step)

    bag = read_bag(made(more))
    values = bag.episodes[0].joints.values
    np.testing.assert_array_equal(values[1], [2, -2, 0.5])
    assert "in order: a, b, finger" in said(bag)
    assert "5 message(s) of /joint_states have no positions" in said(bag)
    assert bag.findings.whole, "nothing is lost"


def test_an_action_of_another_length_keeps_its_row(made: Callable[..., Path]) -> None:
    def more(bag: SyntheticBag) -> None:
        bag.write(
            START + 10 * PERIOD // 4,
            "/executed_action",
            "vla_sae_ros/msg/ExecutedAction",
            header=bag.header(START + 10 * PERIOD),
            episode_id="plain",
            step=10,
        )

    bag = read_bag(made(more))
    actions = bag.episodes[0].actions
    assert actions.shape == (11, 7) and np.isnan(actions[10]).all()
    assert "not of the usual length 7" in said(bag)


def test_steering_events_between_episodes_are_kept_with_their_time(
    made: Callable[..., Path],
) -> None:
    def more(bag: SyntheticBag) -> None:
        for number in range(3):
            bag.write(
                START + 100 * 10**9 + number,
                "/steering/events",
                "vla_sae_ros/msg/SteeringEvent",
                header=bag.header(START + 100 * 10**9),
                kind=1,
                owner="eva",
                reason="no such feature",
            )

    folder = made(more)
    events = tables(read_bag(folder))["events"].to_pylist()
    assert [(row["episode_id"], row["step"], row["kind"]) for row in events] == [
        ("", -1, "REFUSED")
    ] * 3
    assert events[0]["received"] == pytest.approx(100, abs=0.1)
    assert [each.step for each in read_facts(folder)[0].refusals] == [-1] * 3


def test_a_bag_without_episode_states_has_the_episodes_that_its_actions_name(
    made: Callable[..., Path],
) -> None:
    def more(bag: SyntheticBag) -> None:
        for step in range(20):
            bag.write(
                START + step * PERIOD,
                "/executed_action",
                "vla_sae_ros/msg/ExecutedAction",
                header=bag.header(START + step * PERIOD),
                episode_id="nameless",
                step=step,
                action=np.full(7, step, np.float32),
            )
        joints(bag, "/gripper", ["l", "r"], [0.01, 0.01], 8)

    bag = read_bag(made(more, episode=False))
    (episode,) = bag.episodes
    assert (episode.episode_id, episode.steps, episode.status.name) == ("nameless", 20, "UNKNOWN")
    assert episode.control_rate == pytest.approx(20)
    assert episode.gripper.step.tolist() == [8] and "no EpisodeState of" in said(bag)


def test_stamps_that_jump_back_are_told_and_their_messages_kept(made: Callable[..., Path]) -> None:
    def more(bag: SyntheticBag) -> None:
        for step, stamp in enumerate((2, 3, 1, -5000)):
            bag.write(
                START + 20_000_000 + step,
                "/joint_states",
                JOINTS,
                header=bag.header(START + stamp * PERIOD),
                name=["a"],
                position=np.array([float(stamp)]),
            )

    bag = read_bag(made(more))
    assert "stamps of /joint_states jump back 2 time(s) within an episode" in said(bag)
    assert bag.episodes[0].joints.step.tolist() == [1, 2, 3]
    assert bag.outside.joints.values.ravel().tolist() == [-5000.0]
    assert "1 message(s) of /joint_states belong to no episode" in said(bag)


def test_a_clock_that_is_set_back_does_not_mix_two_parts_of_a_recording(
    made: Callable[..., Path],
) -> None:
    def more(bag: SyntheticBag) -> None:
        for number in range(4):
            back = 3600 * 10**9 if number >= 2 else 0
            bag.write(START - back + number, "/said", "std_msgs/msg/String", data=str(number))

    with open_bag(made(more, episode=False)) as bag:
        assert [message.data for _, _, message in bag.decoded()] == list("0123")
        assert any("was set back 1 time" in note for note in bag.findings.notes)


@pytest.mark.parametrize("gap", [0, 1])
def test_a_rate_that_means_nothing_is_not_told(made: Callable[..., Path], gap: int) -> None:
    def more(bag: SyntheticBag) -> None:
        for number in range(50):
            bag.write(START + gap * number, "/said", "std_msgs/msg/String", data="x")

    facts, _ = read_facts(made(more))
    assert np.isnan({each.name: each for each in facts.topics}["/said"].rate)


def test_a_letter_that_is_no_utf8_costs_that_letter_only(
    made: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    def more(bag: SyntheticBag) -> None:
        bag.write(START, "/annotation", "vla_sae_ros/msg/Annotation", author="eva", text="z*gert")

    folder = made(more)
    file = folder / "bag.mcap"
    file.write_bytes(file.read_bytes().replace(b"z*gert", b"z\xf6gert"))
    bag = read_bag(folder)
    assert [each.text for each in bag.annotations] == ["z?gert"]
    assert cli.main(["bag", "info", str(folder)]) == 3
    assert "a text is not valid UTF-8" in capsys.readouterr().out
    assert cli.main(["bag", "repair", str(folder)]) == 3
    assert "changed: 1 message of /annotation" in capsys.readouterr().out
    assert read_bag(folder.with_name("bag_repaired")).findings.whole


def test_a_cut_message_is_left_out_and_counted_and_repair_saves_the_rest(
    made: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    def more(bag: SyntheticBag) -> None:
        bag.writer.write("/executed_action", START + 5, b"\0\1\0\0cut")

    folder = made(more)
    bag = read_bag(folder)
    assert len(bag.episodes[0].actions) == 10
    assert "left out: 1 message of /executed_action: cut off or damaged" in said(bag)
    assert cli.main(["bag", "repair", str(folder)]) == 3
    assert "lost: 1 message of /executed_action" in capsys.readouterr().out
    assert read_bag(folder.with_name("bag_repaired")).findings.whole


def test_numbers_of_a_newer_version_are_shown_as_unknown(made: Callable[..., Path]) -> None:
    def more(bag: SyntheticBag) -> None:
        bag.write(
            START,
            "/steering/events",
            "vla_sae_ros/msg/SteeringEvent",
            header=bag.header(START),
            kind=200,
        )

    bag = read_bag(made(more))
    assert [note.kind for note in bag.episodes[0].notes] == ["UNKNOWN_200"]


def test_metadata_of_random_bytes_hides_no_message(
    made: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = made()
    (folder / "metadata.yaml").write_bytes(bytes(range(256)))
    bag = read_bag(folder)
    assert len(bag.episodes[0].actions) == 10 and "metadata.yaml cannot be read" in said(bag)
    assert cli.main(["bag", "info", str(folder)]) == 3
    assert "could not be read" in capsys.readouterr().out


def test_the_types_of_the_wire_are_those_that_the_recorder_records() -> None:
    from vla_sae_ros.nodes.recorder.topics import CONTRACT_TOPICS

    recorded = {topic.name: topic.msgtype for topic in CONTRACT_TOPICS}
    assert WIRE_TYPES.items() <= recorded.items()


def test_metadata_that_names_other_folders_opens_no_file_there(make_bag, tmp_path: Path) -> None:
    bag, other = make_bag(tmp_path / "mine"), make_bag(tmp_path / "secret")
    (own,) = bag.glob("*.mcap")
    (secret,) = other.glob("*.mcap")
    own.unlink()
    text = (bag / "metadata.yaml").read_text()
    for place in (str(secret), f"../secret/{secret.name}", f"../../{tmp_path.name}/{secret.name}"):
        (bag / "metadata.yaml").write_text(text.replace(own.name, place))
        try:
            with open_bag(bag) as opened:
                assert opened.message_count == 0
        except RecordingError as refusal:
            assert str(bag) in str(refusal)


HOSTILE = "\x1b]0;title\x07\x1b[31m [red]"


@pytest.mark.filterwarnings("error:Glyph")  # no control character gets into a picture
def test_no_escape_sequence_of_a_recorded_text_reaches_the_terminal(
    made: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def more(bag: SyntheticBag) -> None:
        bag.write(
            START + 10**9,
            "/episode",
            "vla_sae_ros/msg/EpisodeState",
            header=bag.header(START),
            start=bag.time(START),
            episode_id="plain",
            suite=HOSTILE,
            instruction=HOSTILE,
            status=2,
            step=10,
            control_rate=20.0,
        )
        bag.write(
            START + 10**9 + 1,
            "/annotation",
            "vla_sae_ros/msg/Annotation",
            header=bag.header(START),
            author=HOSTILE,
            text=HOSTILE,
        )

    folder = str(made(more))
    for verb in (["info"], ["plot", "--output", str(tmp_path / "plots")], ["repair"]):
        assert cli.main(["bag", verb[0], folder, *verb[1:]]) == 0
        heard = capsys.readouterr()
        assert "\x1b" not in heard.out + heard.err and heard.out


def test_what_no_repair_can_make_usable_is_told_by_repair(
    made: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    def more(bag: SyntheticBag) -> None:
        bag.write(
            START + 5,
            "/policy/features",
            "vla_sae_ros/msg/FeatureActivations",
            header=bag.header(START),
            episode_id="plain",
            site="expert.1",
            index=np.arange(3, dtype=np.uint32),
        )

    folder = made(more)
    assert cli.main(["bag", "info", str(folder)]) == 3
    capsys.readouterr()
    assert cli.main(["bag", "repair", str(folder)]) == 3
    heard = capsys.readouterr().out
    assert "1 message of /policy/features" in heard and "nothing to repair" not in heard
    assert not folder.with_name("bag_repaired").exists()
