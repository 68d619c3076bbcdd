"""A served bag gives the same numbers again, and every way in which it cannot is said by name."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vla_sae_ros.bags.opened_bag import open_bag
from vla_sae_ros.bags.recorded_frames import RecordedFrames
from vla_sae_ros.bags.recorded_inferences import recorded_inferences
from vla_sae_ros.cli import main
from vla_sae_ros.core.contract import load_contract
from vla_sae_ros.core.errors import RecordingError
from vla_sae_ros.core.readout import injected_readout
from vla_sae_ros.policy.engine import PolicyEngine
from vla_sae_ros.policy.inference import Inference
from vla_sae_ros.resources import resource
from vla_sae_ros.study.replay.injection import Injected
from vla_sae_ros.study.replay.replay import replay as replayed_of
from vla_sae_ros.study.replay.replay_engine import threads_of
from vla_sae_ros.study.replay.what_if import other_instruction

Options = list[str]
Serve = Callable[..., Path]

# The policy is loaded from its files in one test; the machine may be busy.


def replay(bag: Path, options: Options, *more: str) -> int:
    return main(["bag", "replay", str(bag), *options, "--output", str(bag.parent / "out"), *more])


def report(bag: Path) -> dict[str, Any]:
    return json.loads((bag.parent / "out" / "replay.json").read_text())


def what_if(bag: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((bag.parent / "out" / "what_if.csv").open()))


def test_every_inference_repeats_to_the_bit_while_edits_ramp_bypass_and_release(
    serve: Serve, policy_options: Options, capsys: pytest.CaptureFixture[str]
) -> None:
    bag = serve()
    with open_bag(bag) as reader:
        recorded = recorded_inferences(reader).inferences
    weights = {edit.weight for each in recorded for edit in each.snapshot.edits.get("expert.1", ())}
    assert len(weights) > 6 and len({each.revision for each in recorded}) == 5
    assert replay(bag, policy_options) == 0
    assert report(bag)["identical"] and report(bag)["replayed"] == 15
    assert report(bag)["not_the_same"] == []
    assert "bit-identical" in capsys.readouterr().out


def test_chunks_of_real_time_chunking_repeat_to_the_bit(
    serve: Serve, replay_options: Options, capsys: pytest.CaptureFixture[str]
) -> None:
    bag = serve(episodes=2, rtc=True)
    with open_bag(bag) as reader:
        recorded = recorded_inferences(reader).inferences
    assert sum(bool(each.continued) for each in recorded) > 12
    assert replay(bag, replay_options) == 0
    assert report(bag)["identical"] and report(bag)["replayed"] == 30
    assert replay(bag, replay_options, "--episode", "e2") == 0
    assert report(bag)["identical"] and report(bag)["replayed"] == 15


def test_a_chunk_whose_predecessor_cannot_be_replayed_is_not_replayed_and_why_is_said(
    serve: Serve, replay_options: Options, capsys: pytest.CaptureFixture[str]
) -> None:
    def without_the_second_request(topic: str, message: Any) -> Any:
        return None if topic == "policy/request" and message.step == 3 else message

    bag = serve("raw", without_the_second_request, rtc=True)
    assert replay(bag, replay_options) == 1
    told = report(bag)
    (reason,) = told["not_replayed"]
    assert "a chunk that was not replayed before it" in reason
    assert told["parted"] == 0 and told["replayed"] >= 5
    assert told["not_replayed"][reason] + told["replayed"] == told["inferences"] == 14


def test_another_instruction_is_not_pulled_towards_the_chunk_of_the_one_before(
    serve: Serve, engine: PolicyEngine
) -> None:
    bag = serve(rtc=True)
    with open_bag(bag) as reader:
        recorded = recorded_inferences(reader).inferences
        frames = RecordedFrames(
            reader, load_contract(resource("config", "contracts", "libero.yaml"))
        )
        told = other_instruction("put the can into the drawer", 3)
        replayed = list(replayed_of(engine, frames, recorded[:3], instruction_of=told))
    first, second, third = [each.inference for each in replayed]
    assert first is not None and second is not None and third is not None
    assert recorded[1].continued and second.continued is None
    assert third.continued is not None


def test_pictures_without_loss_repeat_to_the_bit_as_well(
    serve: Serve, replay_options: Options
) -> None:
    bag = serve("png")
    assert replay(bag, replay_options) == 0
    assert report(bag)["identical"] and report(bag)["replayed"] == 15


def test_each_of_two_episodes_is_replayed_alone_and_both_together(
    serve: Serve, replay_options: Options
) -> None:
    bag = serve(episodes=2)
    for episode in ("1", "e2"):
        assert replay(bag, replay_options, "--episode", episode) == 0
        assert report(bag)["identical"] and report(bag)["replayed"] == 15
    assert replay(bag, replay_options) == 0
    assert report(bag)["identical"] and report(bag)["replayed"] == 30


def test_one_reader_gives_the_frames_of_one_episode_after_the_other_and_again(
    serve: Serve,
) -> None:
    with open_bag(serve(episodes=2, requests=3)) as reader:
        recorded = recorded_inferences(reader).inferences
        frames = RecordedFrames(
            reader, load_contract(resource("config", "contracts", "libero.yaml"))
        )
        whole = [dict(frame) for _, frame in frames.of(recorded)]
        parts = [
            dict(frame)
            for episode in ("e1", "e2")
            for _, frame in frames.of([each for each in recorded if each.episode_id == episode])
        ]
        again = [dict(frame) for _, frame in frames.of(recorded)]
    for others in (parts, again):
        np.testing.assert_equal(others, whole)


def test_a_changed_feature_is_found_by_inference_site_and_size(
    serve: Serve, replay_options: Options, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def change(topic: str, message: Any) -> Any:
        if topic == "policy/features" and message.chunk_id == 6 and message.site == "expert.1":
            message.natural[0] = float(np.nextafter(np.float32(message.natural[0]), np.float32(9)))
        return message

    bag = serve(change=change)
    assert replay(bag, replay_options) == 1
    found = report(bag)
    assert (found["parted"], found["first"]["chunk_id"]) == (1, 6)
    assert "expert.1: natural value of feature" in found["first"]["what"]
    assert "first inference 6" in capsys.readouterr().out


def test_a_recording_that_ended_before_its_last_read_outs_is_identical_as_far_as_it_goes(
    serve: Serve, replay_options: Options, capsys: pytest.CaptureFixture[str]
) -> None:
    def cut(topic: str, message: Any) -> Any:
        last = topic == "policy/features" and message.chunk_id == 15
        return None if last and message.site == "expert.1" else message

    bag = serve(change=cut)
    assert replay(bag, replay_options) == 0
    assert report(bag)["identical"] and report(bag)["not_read_out"] == ["expert.1"]
    assert "before the last inference was read out at expert.1" in capsys.readouterr().out


def test_a_read_out_that_is_lost_in_the_middle_is_a_difference(
    serve: Serve, replay_options: Options
) -> None:
    def lose(topic: str, message: Any) -> Any:
        lost = topic == "policy/features" and message.chunk_id == 6 and message.site == "expert.1"
        return None if lost else message

    bag = serve(change=lose)
    assert replay(bag, replay_options) == 1
    assert report(bag)["first"]["what"].startswith("expert.1: features at all")
    assert report(bag)["not_read_out"] == []


def test_a_site_that_was_never_read_out_is_a_difference_in_the_last_inference_too(
    serve: Serve, replay_options: Options
) -> None:
    def lose(topic: str, message: Any) -> Any:
        lost = topic == "policy/features" and message.site == "expert.1"
        return None if lost else message

    bag = serve(change=lose)
    assert replay(bag, replay_options) == 1
    assert (report(bag)["parted"], report(bag)["not_read_out"]) == (15, [])


def test_a_changed_action_is_found(serve: Serve, replay_options: Options, tmp_path: Path) -> None:
    def change(topic: str, message: Any) -> Any:
        if topic == "policy/action_chunk" and message.chunk_id >= 3:
            message.actions[9] += 0.25
        return message

    bag = serve(change=change)
    assert replay(bag, replay_options) == 1
    assert report(bag)["parted"] == 13
    assert report(bag)["first"]["what"].startswith("actions[1, 2]")
    assert report(bag)["largest"] == {"actions": pytest.approx(0.25, rel=1e-4)}


def test_pictures_that_lost_something_are_named_before_the_numbers_part(
    serve: Serve, replay_options: Options, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bag = serve("jpeg", requests=3)
    assert replay(bag, replay_options) == 1
    assert "JPEG" in capsys.readouterr().out


def test_a_bag_without_pictures_is_refused_by_the_names_of_its_topics(
    serve: Serve, replay_options: Options, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bag = serve("", requests=1)
    assert replay(bag, replay_options) == 1
    assert "observation/image/agentview" in capsys.readouterr().err


def test_one_lost_picture_or_steering_state_is_said_and_the_rest_is_replayed(
    serve: Serve, replay_options: Options, capsys: pytest.CaptureFixture[str]
) -> None:
    seen = {"pictures": 0}

    def change(topic: str, message: Any) -> Any:
        seen["pictures"] += topic == "observation/image/wrist"
        lost = topic == "observation/image/wrist" and seen["pictures"] == 4
        unknown = topic == "steering/state" and message.revision == 3
        return None if lost or unknown else message

    bag = serve(change=change)
    assert replay(bag, replay_options) == 1
    found = report(bag)
    assert found["parted"] == 0 and found["replayed"] < 15
    reasons = " ".join(found["not_replayed"])
    assert "observation.images.wrist" in reasons and "revision 3" in reasons
    said = f"the other {found['replayed']} of 15 inferences: features and actions are bit-identical"
    assert said in " ".join(capsys.readouterr().out.split())


def test_another_policy_is_named_before_the_run(
    serve: Serve, replay_options: Options, engine: PolicyEngine
) -> None:
    def change(topic: str, message: Any) -> Any:
        if topic == "description":
            message.values[message.names.index("policy_id")] = "another"
            message.values[message.names.index("torch")] = "1.0"
        return message

    bag = serve(change=change, requests=3)
    assert replay(bag, replay_options) == 0  # it is the same one in truth
    named = report(bag)["not_the_same"]
    assert f"policy_id: recorded another, now {engine.policy_id}" in named
    assert any(line.startswith("torch: recorded 1.0") for line in named)


def test_an_unknown_episode_is_refused_and_a_known_one_is_replayed_alone(
    serve: Serve, replay_options: Options, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bag = serve(requests=3)
    assert replay(bag, replay_options, "--episode", "2") == 1
    assert "no such episode" in capsys.readouterr().err
    assert replay(bag, replay_options, "--episode", "e1") == 0


def test_what_if_gives_the_difference_that_steering_makes_and_none_where_it_made_none(
    serve: Serve, replay_options: Options, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bag = serve()
    assert replay(bag, replay_options, "--no-steering") == 0
    found = what_if(bag)
    assert len(found) == 15 and list(found[0])[-7:] == [
        "da_x",
        "da_y",
        "da_z",
        "da_roll",
        "da_pitch",
        "da_yaw",
        "da_gripper",
    ]
    for row in found:
        assert (float(row["da_norm"]) > 0) == (row["was_steered"] == "1")
        assert row["is_steered"] == "0"
    assert "15" in capsys.readouterr().out
    assert (tmp_path / "out" / "what_if.png").read_bytes().startswith(b"\x89PNG")


def test_an_acting_edit_changes_the_actions_inside_its_window_and_no_others(
    serve: Serve, replay_options: Options, tmp_path: Path
) -> None:
    bag = serve()
    preset = tmp_path / "preset.yaml"
    preset.write_text(
        "format: 1\nname: acting\nedits: [{site: expert.1, feature: 2, mode: clamp, value: 3.0, "
        "window: [0.4, 0.95]}]\n"
    )  # the slew limit's way back of 0.1 s ends before the next one
    # The bag's own edits are left out, so that every change is this preset's.
    assert replay(bag, replay_options, "--no-steering") == 0
    plain = what_if(bag)
    assert replay(bag, replay_options, "--edits", str(preset)) == 0
    acting = what_if(bag)
    inside = [0.4 <= float(row["time_s"]) < 0.95 for row in acting]
    assert 3 < sum(inside) < len(inside) - 5
    changed = [
        any(now[name] != then[name] for name in now if name.startswith("da_"))
        for now, then in zip(acting, plain, strict=True)
    ]
    assert changed == inside
    assert [row["is_steered"] == "1" for row in acting] == inside


def test_what_if_without_any_edit_is_what_if_without_steering(
    serve: Serve, replay_options: Options, tmp_path: Path
) -> None:
    bag = serve(requests=5)
    preset = tmp_path / "preset.yaml"
    preset.write_text("format: 1\nname: none\nedits: []\n")
    assert replay(bag, replay_options, "--edits", str(preset)) == 0
    empty = (tmp_path / "out" / "what_if.csv").read_text()
    assert replay(bag, replay_options, "--no-steering") == 0
    assert (tmp_path / "out" / "what_if.csv").read_text() == empty


@pytest.mark.parametrize(
    ("preset", "says"),
    [
        ("[]", "a mapping with format, name, edits, bundles"),
        ("format: 1\nname: x\nedits: [{feature: 9999, mode: clamp}]", "no site named"),
        (None, "no_such"),
    ],
)
def test_a_preset_that_cannot_be_used_is_refused_before_the_run(
    serve: Serve,
    replay_options: Options,
    tmp_path: Path,
    preset: str | None,
    says: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    bag = serve(requests=1)
    path = tmp_path / "no_such.yaml"
    if preset is not None:
        path.write_text(preset)
    assert replay(bag, replay_options, "--edits", str(path)) == 2
    assert says in capsys.readouterr().err


def test_what_if_tells_another_instruction_from_a_step_on(
    serve: Serve, policy_options: Options
) -> None:
    bag = serve("png")
    assert replay(bag, policy_options, "--instruction", "zzz", "--from-step", "10") == 0
    rows = what_if(bag)
    moved = [float(row["da_norm"]) > 0.0 for row in rows]
    assert moved == [int(row["step"]) >= 10 for row in rows] and any(moved) and not all(moved)


def test_a_step_without_an_instruction_is_refused(
    serve: Serve, policy_options: Options, capsys: pytest.CaptureFixture[str]
) -> None:
    bag = serve("png")
    assert replay(bag, policy_options, "--from-step", "10") == 2
    assert "only with --instruction" in capsys.readouterr().err
    assert replay(bag, policy_options, "--instruction", " ") == 2


def test_an_episodes_stream_is_played_into_another_ones_observations(
    serve: Serve, policy_options: Options, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    bag = serve("png", episodes=2)
    given = ["bag", "inject", str(bag), *policy_options, "--site", "expert.1"]
    assert main([*given, "--into-episode", "2", "--output", str(tmp_path / "out")]) == 0
    assert "share of the way" in capsys.readouterr().out
    rows = list(csv.DictReader((tmp_path / "out" / "inject.csv").open()))
    assert rows and all(float(row["moved"]) > 0.0 for row in rows)
    assert main([*given, "--output", str(tmp_path / "same")]) == 0
    rows = list(csv.DictReader((tmp_path / "same" / "inject.csv").open()))
    assert {(row["moved"], row["apart"], row["share"]) for row in rows} == {("0", "0", "nan")}
    assert main([*given, "--into-episode", "7"]) == 1
    assert "no such episode" in capsys.readouterr().err


def test_the_share_is_the_way_from_ones_own_chunk_to_the_donors() -> None:
    plain, donor = np.zeros((2, 3), np.float32), np.ones((2, 3), np.float32)
    one = Injected(0, 0, plain, 0.25 * donor, donor)
    assert one.share == pytest.approx(0.25)
    assert one.moved + one.left == pytest.approx(one.apart)


@pytest.mark.parametrize("share", [0.4, 0.0, None])
def test_an_inference_with_another_episodes_stream_is_not_replayed_and_said_so(
    serve: Serve,
    replay_options: Options,
    engine: PolicyEngine,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    share: float | None,
) -> None:
    """share: as recorded; 0: the donor had no stream left; None: the message of it is lost."""
    infer = engine.infer

    def injected_infer(*asked: Any) -> Inference:
        inference = infer(*asked)
        told = [] if share is None else [injected_readout("backbone.1", share)]
        return replace(inference, read_out=lambda: (*inference.sites, *told))

    def change(topic: str, message: Any) -> Any:
        if topic == "steering/state":
            message.injection = "backbone.1"
        return message

    monkeypatch.setattr(engine, "infer", injected_infer)
    bag = serve(requests=2, change=change)
    assert replay(bag, replay_options) == (0 if share == 0.0 else 1)
    found = report(bag)
    assert (found["replayed"], found["parted"]) == ((2, 0) if share == 0.0 else (0, 0))
    said = " ".join(found["not_replayed"])
    assert ("another episode's residual stream at backbone.1" in said) == (share != 0.0)
    assert main(["bag", "info", str(bag)]) == 0
    assert "another episode's stream injected at backbone.1: " in capsys.readouterr().out


@pytest.mark.parametrize("text", ["many", "0", "-1", "1.5", "9" * 5000])
def test_a_number_of_threads_that_no_node_has_is_refused(text: str) -> None:
    with pytest.raises(RecordingError, match="threads of the policy"):
        threads_of({"parameter.threads": text})


def test_the_recorded_threads_count_and_are_one_where_nobody_said() -> None:
    assert (threads_of({"parameter.threads": "4"}), threads_of({})) == (4, 1)
