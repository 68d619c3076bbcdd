"""A bag written by the recorder's writer comes back as the numbers that went in."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from bag_fixtures import START, SyntheticBag, write_episode

from vla_sae_ros.bags.episode_trace import Annotation
from vla_sae_ros.bags.pictures import picture_of
from vla_sae_ros.bags.reading import Bag, read_bag
from vla_sae_ros.core.episode_status import EpisodeStatus
from vla_sae_ros.core.errors import RecordingError


@pytest.fixture(scope="module")
def bag(synthetic_bag: Path) -> Bag:
    return read_bag(synthetic_bag)


def test_each_episode_is_found_in_order_with_its_outcome(bag: Bag) -> None:
    assert [(each.episode_id, each.status, each.steps) for each in bag.episodes] == [
        ("plain", EpisodeStatus.FAILED, 60),
        ("steered", EpisodeStatus.SUCCEEDED, 40),
    ]
    assert bag.episodes[1].succeeded
    assert bag.episodes[0].instruction == "pick up the soup"


def test_actions_and_poses_are_those_that_were_recorded(bag: Bag) -> None:
    plain = bag.episodes[0]
    np.testing.assert_array_equal(plain.action_step, np.arange(60))
    np.testing.assert_allclose(plain.actions[:, 0], np.arange(60) / 100, rtol=1e-6)
    np.testing.assert_array_equal(plain.position.step, np.arange(0, 61, 5))
    np.testing.assert_allclose(plain.position.values[:, 2], 0.9 + np.arange(0, 61, 5) / 1000)
    assert plain.gripper.values.shape == (13, 2)
    np.testing.assert_allclose(plain.opening().values[0], 0.08)


def test_overlapping_stamps_of_two_lockstep_episodes_are_told_apart(bag: Bag) -> None:
    # The second episode starts, by the wall clock, before the simulated end of the first.
    plain, steered = bag.episodes
    np.testing.assert_array_equal(steered.position.step, np.arange(0, 41, 5))
    assert set(plain.position.values[:, 0]) == {0.0}
    assert set(steered.position.values[:, 0]) == {1.0}


def test_pictures_belong_to_their_step_and_can_be_left_out(bag: Bag, synthetic_bag: Path) -> None:
    pictures = bag.episodes[1].pictures["agentview"]
    assert sorted(pictures) == list(range(0, 41, 5))
    assert pictures[5].shape == (64, 64, 3) and pictures[5][0, 0].tolist() == [5, 200, 1]
    without = read_bag(synthetic_bag, pictures=False).episodes[1]
    assert without.pictures == {} and without.heatmaps == {}


def test_losslessly_compressed_pictures_come_back_to_the_bit(bag: Bag) -> None:
    sent, compressed = (bag.episodes[1].pictures[camera] for camera in ("agentview", "wrist"))
    assert sent.keys() == compressed.keys()
    for step, picture in sent.items():
        np.testing.assert_array_equal(compressed[step], picture)


def test_a_picture_that_is_none_is_refused_with_its_topic() -> None:
    broken = SimpleNamespace(format="jpeg", data=np.zeros(10, np.uint8))
    with pytest.raises(RecordingError, match=r"on /a .*got 'jpeg'; allowed: JPEG or PNG"):
        picture_of(broken, "/a")
    depth = SimpleNamespace(encoding="16UC1", data=np.zeros(10, np.uint8))
    with pytest.raises(RecordingError, match="on /a: got '16UC1'; allowed: rgb8, bgr8"):
        picture_of(depth, "/a")


def test_a_bag_reads_every_encoding_that_the_policy_hears() -> None:
    """A ZED sends bgra8."""
    pixels = np.arange(24, dtype=np.uint8)
    sent = SimpleNamespace(encoding="bgra8", height=2, width=3, step=12, data=pixels)
    expected = pixels.reshape(2, 3, 4)[..., [2, 1, 0]]
    np.testing.assert_array_equal(picture_of(sent, "/a"), expected)


def test_the_heatmap_belongs_to_its_step(bag: Bag) -> None:
    assert bag.episodes[0].heatmaps == {}
    ((step, picture),) = bag.episodes[1].heatmaps.items()
    assert step == 10 and picture.shape == (4, 4, 3) and picture.max() == 9


def test_remarks_stand_with_their_episode_and_all_of_them_with_the_bag(bag: Bag) -> None:
    assert [each.text for each in bag.annotations] == ["now with the edit", "the hand stops"]
    assert bag.episodes[0].annotations == ()
    assert bag.episodes[1].annotations == (Annotation("steered", 12, "eva", "the hand stops"),)


def test_the_description_of_each_node_is_read(bag: Bag) -> None:
    assert [each.node for each in bag.descriptions] == ["/policy", "/bridge"]
    assert bag.descriptions[0].values == {"policy_id": "p1", "bundle_id.backbone.1": "b1"}


def test_sparse_features_become_dense_columns(bag: Bag) -> None:
    stream = bag.episodes[1].features["backbone.1"]
    natural, applied = stream.dense([7, 3, 999])
    assert natural.shape == (8, 3)
    np.testing.assert_allclose(natural[:, 0], 1.0)
    np.testing.assert_allclose(applied[:, 0], [1, 1, 8, 8, 8, 8, 1, 1])
    np.testing.assert_array_equal(natural[:, 1], applied[:, 1])
    assert not natural[:, 2].any()
    assert stream.edited() == [7]


def test_the_steering_window_is_the_steps_whose_actions_were_steered(bag: Bag) -> None:
    plain, steered = bag.episodes
    assert plain.steering_windows() == []
    assert steered.steering_windows() == [(10, 30)]


def test_steering_state_and_events_are_placed_in_the_episode(bag: Bag) -> None:
    steered = bag.episodes[1]
    assert [(each.step, len(each.edits)) for each in steered.steering] == [(10, 1), (30, 0)]
    assert steered.steering[0].edits[0].commanded == 8.0
    assert [(each.step, each.kind) for each in steered.notes] == [(10, "SET"), (30, "RELEASED")]


def test_the_catalogue_is_read(bag: Bag) -> None:
    entry = bag.catalogues["backbone.1"].get(7)
    assert entry is not None and entry.label == "gripper closes" and entry.observed_max == 2.0


@pytest.mark.parametrize("content", [None, "", "metadata"])
def test_a_folder_that_is_no_complete_bag_is_refused_by_name(
    tmp_path: Path, content: str | None
) -> None:
    folder = tmp_path / "not_a_bag"
    if content is not None:
        folder.mkdir()
    if content:
        (folder / "metadata.yaml").write_text("nonsense: 1\n")
    with pytest.raises(RecordingError, match="not_a_bag"):
        read_bag(folder)


def test_a_policy_that_was_started_again_counts_anew_and_is_told_apart(tmp_path: Path) -> None:
    bag = SyntheticBag(tmp_path / "bag")

    def state(received: int, step: int) -> None:
        bag.write(
            received,
            "/episode",
            "vla_sae_ros/msg/EpisodeState",
            header=bag.header(received),
            start=bag.time(START),
            episode_id="e",
            step=step,
            status=2,
            control_rate=20.0,
        )

    state(START - 1, 0)
    made = ((5, 1, 0), (5, 2, 1), (9, 1, 2), (9, 2, 3))  # policy_start, inference, step
    for start, inference, step in made:
        stamp = START + step * 50_000_000
        of = {"header": bag.header(stamp), "policy_start": start}
        bag.write(
            stamp,
            "/policy/features",
            "vla_sae_ros/msg/FeatureActivations",
            episode_id="e",
            site="expert.1",
            inference=inference,
            steering_revision=inference,
            observation_step=step,
            **of,
        )
        for kind, name in (("State", "state"), ("Event", "events")):
            bag.write(
                stamp, f"/steering/{name}", f"vla_sae_ros/msg/Steering{kind}", revision=1, **of
            )
        state(stamp + 1, step + 1)
    bag.writer.close()
    (episode,) = read_bag(tmp_path / "bag").episodes
    stream = episode.features["expert.1"]
    assert list(zip(stream.policy_start, stream.inference, stream.step, strict=True)) == list(made)
    starts = [start for start, _, _ in made]
    assert [each.policy_start for each in episode.steering] == starts
    assert [(each.policy_start, each.revision) for each in episode.notes] == [
        (start, 1) for start in starts
    ]


def test_an_episode_that_was_over_before_the_recording_began_is_none_of_its(tmp_path: Path) -> None:
    bag = SyntheticBag(tmp_path / "bag")
    fields = {"episode_id": "before", "start": bag.time(START - 10**10), "control_rate": 20.0}
    kind = "vla_sae_ros/msg/EpisodeState"
    bag.write(START - 100, "/episode", kind, step=60, status=4, **fields)  # it is latched
    write_episode(bag, "plain", 0, START, 10)
    bag.writer.close()
    read = read_bag(tmp_path / "bag")
    assert [each.episode_id for each in read.episodes] == ["plain"]
    assert list(read.findings.notes) == ["the episode before was over before the recording began"]
    assert read.findings.status == 0
