"""What stands in a bag stands in the .rrd file: both are read back and compared."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bag_fixtures import PERSON, RATE
from PIL import Image
from rrd import column, entities, recordings

from vla_sae_ros.bags.reading import Bag, read_bag
from vla_sae_ros.cli import main
from vla_sae_ros.study.rerun.sdk import program

SITE = "backbone.1"
STEERED = "synthetic-steered"


@pytest.fixture(scope="module")
def bag(synthetic_bag: Path) -> Bag:
    return read_bag(synthetic_bag)


@pytest.fixture(scope="module")
def rrd(synthetic_bag: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("rrd") / "bag.rrd"
    assert main(["bag", "rerun", str(synthetic_bag), "--out", str(path)]) == 0
    return path


@pytest.fixture(scope="module")
def steered(rrd: Path) -> Callable[..., dict[Any, Any]]:
    """Return a function that reads a column of the steered episode by entity and component."""
    store = recordings(rrd)[STEERED]
    return lambda entity, component, timeline="step": column(
        rrd, store, entity, component, timeline
    )


def test_reruns_own_program_accepts_the_file(rrd: Path) -> None:
    done = subprocess.run(
        [program(), "rrd", "verify", rrd], capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0 and "without error" in done.stdout + done.stderr


def test_each_episode_is_a_recording_and_what_lies_outside_another(rrd: Path, bag: Bag) -> None:
    found = recordings(rrd)
    assert sorted(found) == ["synthetic-", "synthetic-plain", STEERED]
    assert {each.application_id for each in found.values()} == {"vla_sae_ros"}
    names = {
        name: column(rrd, store, "/__properties", "RecordingInfo:name")[None]
        for name, store in found.items()
    }
    assert names[STEERED] == "2: pick up the soup, succeeded"
    assert names["synthetic-"] == "outside episodes"
    remarks = column(rrd, found["synthetic-"], "/events/remarks", "TextLog:text", "received")
    assert list(remarks.values()) == ["eva: now with the edit"]


def test_features_are_those_of_the_bag_before_and_after_the_edits(
    steered: Callable[..., dict[Any, Any]], bag: Bag
) -> None:
    stream = bag.episodes[1].features[SITE]
    for number, feature in enumerate((3, 7, 11)):
        natural, applied = stream.dense([3, 7, 11])
        for tree, values in (("natural", natural), ("applied", applied)):
            drawn = steered(f"/features/{tree}/{SITE}/{feature}", "Scalars:scalars")
            assert list(drawn) == stream.step.tolist()
            np.testing.assert_array_equal(list(drawn.values()), values[:, number])
    norms = steered(f"/edit_norm/{SITE}", "Scalars:scalars")
    np.testing.assert_array_equal(list(norms.values()), stream.edit_norm_ratio)
    title = steered(f"/features/applied/{SITE}/7", "SeriesLines:names")[None]
    assert title == "backbone.1 #7 gripper closes"
    table = steered(f"/strongest/{SITE}", "TextDocument:text")[10]
    assert "| 7 | gripper closes | 8 (was 1) | 4.00 |" in table.splitlines()[2]


def test_actions_and_the_hand_are_those_of_the_bag(
    steered: Callable[..., dict[Any, Any]], bag: Bag
) -> None:
    trace = bag.episodes[1]
    for axis in range(trace.actions.shape[1]):
        drawn = steered(f"/actions/{axis}", "Scalars:scalars")
        assert list(drawn) == trace.action_step.tolist()
        np.testing.assert_array_equal(list(drawn.values()), trace.actions[:, axis])
    pose = steered("/hand/pose", "Transform3D:translation")
    np.testing.assert_allclose(list(pose.values()), trace.position.values, rtol=1e-6)
    ways = steered("/hand/path", "LineStrips3D:strips")
    for before, (step, way) in zip([0, *ways], ways.items(), strict=False):
        np.testing.assert_allclose(way, [pose[before], pose[step]])
    fingers = steered("/gripper/left", "Scalars:scalars")
    np.testing.assert_array_equal(list(fingers.values()), trace.gripper.values[:, 0])


def test_pictures_are_those_of_the_bag_to_the_pixel(
    steered: Callable[..., dict[Any, Any]], bag: Bag
) -> None:
    trace = bag.episodes[1]
    raw = steered("/camera/agentview", "Image:buffer")
    encoded = steered("/camera/wrist", "EncodedImage:blob")
    assert list(raw) == list(encoded) == list(trace.pictures["wrist"])
    for step in raw:
        picture = np.array(raw[step], np.uint8).reshape(64, 64, 3)
        np.testing.assert_array_equal(picture, trace.pictures["agentview"][step])
        png = Image.open(io.BytesIO(bytes(encoded[step])))
        np.testing.assert_array_equal(np.asarray(png), trace.pictures["wrist"][step])
    (heatmap,) = steered("/heatmap/recorded", "Image:buffer").items()
    assert heatmap == (10, [9] * 48)


def test_lanes_say_when_an_edit_acted_and_who_commanded(
    steered: Callable[..., dict[Any, Any]],
) -> None:
    states = "StateChange:state"
    assert steered(f"/lanes/steering/{SITE}/7", states) == {10: "clamp 4, test", 30: ""}
    assert steered("/lanes/commander", states) == {
        0: "policy",
        PERSON.start: "person",
        PERSON.stop: "policy",
    }
    assert steered("/lanes/status", states) == {0: "resetting", 1: "running", 40: "succeeded"}
    events = steered("/events/steering", "TextLog:text")
    assert events[10].startswith(f"SET {SITE} #7") and events[30].startswith("RELEASED")
    assert steered("/events/remarks", "TextLog:text") == {12: "eva: the hand stops"}


def test_times_are_seconds_since_the_first_observation_and_of_reception(
    steered: Callable[..., dict[Any, Any]], bag: Bag
) -> None:
    trace = bag.episodes[1]
    times = [each.total_seconds() for each in steered("/actions/0", "Scalars:scalars", "time")]
    np.testing.assert_allclose(times, trace.action_step / RATE)
    received = list(steered("/actions/0", "Scalars:scalars", "received"))
    since = [(each - received[0]).total_seconds() for each in received]
    np.testing.assert_allclose(since, trace.action_received - trace.action_received[0], atol=2e-6)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"kind": 7, "site": "a.1", "from_value": np.nan, "to_value": np.nan}, "CAPPED a.1 by me"),
        ({"kind": 0, "site": "a.1", "feature": 3, "from_value": np.nan, "to_value": 2.0},
         "SET a.1 #3 natural to 2 by me"),
        ({"kind": 5, "reason": "the finance team"}, "RESET by me the finance team"),
    ],
)  # fmt: skip
def test_events_are_told_in_words(tmp_path: Path, fields: dict[str, Any], words: str) -> None:
    from bag_fixtures import START, SyntheticBag

    bag = SyntheticBag(tmp_path / "events")
    kind = "vla_sae_ros/msg/SteeringEvent"
    bag.write(START, "/steering/events", kind, header=bag.header(START), owner="me", **fields)
    bag.writer.close()
    path = tmp_path / "events.rrd"
    assert main(["bag", "rerun", str(tmp_path / "events"), "--out", str(path)]) == 0
    (store,) = recordings(path).values()
    told = column(path, store, "/events/steering", "TextLog:text", "received")
    assert list(told.values()) == [words]


def test_one_episode_and_named_features_can_be_chosen(synthetic_bag: Path, tmp_path: Path) -> None:
    path = tmp_path / "one.rrd"
    command = ["bag", "rerun", str(synthetic_bag), "--out", str(path), "--episode", "2"]
    assert main([*command, "--features", f"{SITE}:11"]) == 0
    assert list(recordings(path)) == [STEERED]
    drawn = {each for each in entities(path, recordings(path)[STEERED]) if "features" in each}
    assert drawn == {f"/features/{tree}/{SITE}/11" for tree in ("applied", "natural")}


def test_an_edit_that_stood_before_an_episode_stands_at_its_beginning(
    make_bag: Callable[[Path], Path], tmp_path: Path
) -> None:
    from bag_fixtures import START, SyntheticBag, steer, write_episode

    bag = SyntheticBag(tmp_path / "standing")
    steer(bag, START - 5 * 10**9, START - 5 * 10**9, True)
    write_episode(bag, "plain", 0, START, 10)
    bag.writer.close()
    path = tmp_path / "standing.rrd"
    assert main(["bag", "rerun", str(tmp_path / "standing"), "--out", str(path)]) == 0
    store = recordings(path)["standing-plain"]
    assert column(path, store, f"/lanes/steering/{SITE}/7", "StateChange:state") == {
        0: "clamp 4, test"
    }


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "what to show: got 'neither'"),
        (["{bag}", "--live"], "what to show: got 'both'"),
        (["{bag}", "--connect", "rerun+http://x:1/proxy"], "--connect goes with --live only"),
        (["--live", "--episode", "1"], "--episode goes with a bag only"),
        (["{bag}", "--episode", "9"], "no such episode"),
        (["{bag}", "--features", "expert.9:1"], "no features of this site"),
        (["--live", "--connect", "http://x"], "--connect: got 'http://x'"),
        (["--live", "--connect", "rerun+http://127.0.0.1:1/proxy"], "No viewer listens there"),
    ],
)
def test_what_cannot_be_shown_is_refused(
    synthetic_bag: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    complaint: str,
) -> None:
    given = [each.format(bag=synthetic_bag) for each in arguments]
    out = [] if "--live" in given else ["--out", str(tmp_path / "x.rrd")]
    assert main(["bag", "rerun", *given, *out]) != 0
    assert complaint in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_without_the_sdk_the_command_that_installs_it_is_named(
    synthetic_bag: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "rerun", None)
    assert main(["bag", "rerun", str(synthetic_bag)]) == 2
    assert "pip install 'rerun-sdk>=0.33,<0.34'" in capsys.readouterr().err


def test_a_label_is_no_markup_in_the_table() -> None:
    from vla_sae_ros.study.rerun.features import _plain

    assert _plain("![x](http://a) | *b*") == r"\!\[x\]\(http\:\/\/a\) \| \*b\*"


@pytest.mark.slow
def test_a_heatmap_is_computed_again_and_stands_beside_the_cameras(
    serve: Callable[..., Path], replay_options: list[str], tmp_path: Path
) -> None:
    path = tmp_path / "heat.rrd"
    command = ["bag", "rerun", str(serve(requests=3)), *replay_options, "--out", str(path)]
    assert main([*command, "--heatmap", "backbone.0:2"]) == 0
    (store,) = (each for each in recordings(path).values() if each.recording_id.endswith("e1"))
    drawn = [each for each in entities(path, store) if each.startswith("/heatmap/")]
    assert drawn == [r"/heatmap/backbone.0\ 2"]
    steps = column(path, store, drawn[0], "Image:buffer")
    assert list(steps) == [0, 3, 6]
