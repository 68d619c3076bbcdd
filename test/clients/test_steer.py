from __future__ import annotations

import argparse
import math
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import rclpy
from lifecycle_msgs.srv import GetState
from patience import PATIENCE
from rclpy.executors import SingleThreadedExecutor
from std_srvs.srv import SetBool, Trigger

from vla_sae_ros import cli
from vla_sae_ros.clients import client, steer, steer_client
from vla_sae_ros.core.errors import SteeringRefused
from vla_sae_ros.core.steering import Mode, Unit, parse_preset
from vla_sae_ros.msg import FeatureCatalogue, SteeringEdit, SteeringEditState, SteeringState
from vla_sae_ros.srv import ApplyPreset, SetSteering
from vla_sae_ros.wire import qos
from vla_sae_ros.wire.steering_messages import from_edit


class FakePolicy:
    """Answers the steering services as a policy node would; feature 99 does not exist.

    The duration of an edit is over at once, so that no test has to wait.
    """

    def __init__(self, context: rclpy.Context) -> None:
        self.node = rclpy.create_node("policy", context=context)
        self.requests: list[SetSteering.Request] = []
        self._state = SteeringState(revision=1, cap=0.5, injection="backbone.1")
        self._publisher = self.node.create_publisher(SteeringState, "steering/state", qos.LATCHED)
        self._publisher.publish(self._state)
        self.node.create_service(SetSteering, "steering/set", self._set)
        catalogue = FeatureCatalogue(
            sites=["expert.1", "backbone.1"], bundle_ids=["e1", "b1"], can_steer=[True, True]
        )
        self._catalogue = self.node.create_publisher(
            FeatureCatalogue, "policy/catalogue", qos.LATCHED
        )
        self._catalogue.publish(catalogue)
        self.presets: list[ApplyPreset.Request] = []
        self.node.create_service(ApplyPreset, "steering/preset", self._preset)
        self.node.create_service(SetBool, "steering/bypass", self._bypass)
        self.node.create_service(Trigger, "steering/reset", self._reset)
        self.node.create_service(SetBool, "steering/inject", self._inject)

    def _set(self, request: SetSteering.Request, response: SetSteering.Response):
        self.requests.append(request)
        if any(edit.feature == 99 or math.isnan(edit.value) for edit in request.edits):
            response.reason = "no such feature: got 99; allowed: 0 to 63."
            return response
        self._state.revision += 1
        response.accepted, response.revision = True, self._state.revision
        self._state.edits = [
            SteeringEditState(edit=edit, owner=request.owner, phase=1, commanded=8.0, weight=0.5)
            for edit in request.edits
        ]
        self._publisher.publish(self._state)
        if any(edit.duration for edit in request.edits):
            self._state.edits = []
            self._publisher.publish(self._state)
        return response

    def _preset(self, request: ApplyPreset.Request, response: ApplyPreset.Response):
        self.presets.append(request)
        preset = parse_preset(request.preset)
        try:
            preset.check_fits({"expert.1": "e1", "backbone.1": "b1"})
        except SteeringRefused as refusal:
            response.reason = str(refusal)
            return response
        edits = [from_edit(edit) for edit in preset.edits]
        return self._set(SetSteering.Request(edits=edits, owner=request.owner), response)

    def _bypass(self, request: SetBool.Request, response: SetBool.Response):
        self._state.bypass = request.data
        self._publisher.publish(self._state)
        response.success = True
        return response

    def _inject(self, request: SetBool.Request, response: SetBool.Response):
        """Knows a donor until it is switched off."""
        response.success = bool(self._state.injection)
        response.message = "" if response.success else "without a stream to inject."
        self._state.injection = "backbone.1" if request.data and response.success else ""
        self._publisher.publish(self._state)
        return response

    def _reset(self, _request: Trigger.Request, response: Trigger.Response):
        self._state.edits = []
        self._publisher.publish(self._state)
        response.success = True
        return response


@pytest.fixture
def policy(ros_context) -> Iterator[FakePolicy]:
    fake = FakePolicy(ros_context)
    executor = SingleThreadedExecutor(context=ros_context)
    executor.add_node(fake.node)
    thread = threading.Thread(target=executor.spin)
    thread.start()
    yield fake
    executor.shutdown()
    thread.join()
    fake.node.destroy_node()


def parse(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    steer.add_arguments(parser)
    return parser.parse_args(words)


def test_an_edit_with_a_time_ends_by_itself(policy: FakePolicy, capsys) -> None:
    assert cli.main(["steer", "set", "12", "--clamp", "4", "--ramp", "0.5", "--for", "3s"]) == 0
    (request,) = policy.requests
    (edit,) = request.edits
    assert (edit.feature, edit.mode) == (12, SteeringEdit.CLAMP)
    assert edit.unit == SteeringEdit.OBSERVED_MAX
    assert (edit.value, edit.ramp, edit.duration, edit.hold) == (4.0, 0.5, 3.0, False)
    assert request.owner.startswith("steer_")
    said = capsys.readouterr().out
    assert "accepted: feature 12, revision 2" in said
    assert "feature 12 is natural again" in said


def test_ctrl_c_lets_go(policy: FakePolicy, monkeypatch, capsys) -> None:
    def interrupt(*_arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(steer_client.SteerClient, "wait_until_gone", interrupt)
    assert cli.main(["steer", "set", "12", "--scale", "0", "--site", "backbone.1"]) == 0
    assert "released feature 12" in capsys.readouterr().out
    (release,) = policy.requests[-1].release
    assert (release.site, release.feature) == ("backbone.1", 12)


def test_a_held_edit_returns_at_once_and_is_listed(policy: FakePolicy, capsys) -> None:
    assert cli.main(["steer", "set", "12", "--add", "2", "--unit", "natural", "--hold"]) == 0
    capsys.readouterr()
    assert cli.main(["steer", "list"]) == 0
    said = capsys.readouterr().out
    assert "revision 2, cap 0.5, edits act" in said
    assert "12: add 2, holding at 50% of 8" in said
    assert "(hold)" in said


def test_a_refused_edit_gives_the_reason_and_status_one(policy: FakePolicy, capsys) -> None:
    assert cli.main(["steer", "set", "99", "--clamp", "1"]) == 1
    assert capsys.readouterr().out == "refused: no such feature: got 99; allowed: 0 to 63.\n"


def test_nan_is_the_policys_to_refuse(policy: FakePolicy) -> None:
    assert cli.main(["steer", "set", "1", "--clamp", "nan"]) == 1


def test_bypass_and_reset_are_accepted(policy: FakePolicy, capsys) -> None:
    assert cli.main(["steer", "bypass"]) == 0
    assert cli.main(["steer", "list"]) == 0
    assert "bypassed: no edit acts" in capsys.readouterr().out
    assert cli.main(["steer", "bypass", "off"]) == 0
    assert cli.main(["steer", "reset"]) == 0
    assert cli.main(["steer", "list"]) == 0
    assert "no edits" in capsys.readouterr().out


def test_a_saved_preset_names_its_bundles_and_loads_back_into_the_same_edits(
    policy: FakePolicy, tmp_path: Path, capsys
) -> None:
    file = tmp_path / "lift.yaml"
    words = ["--site", "expert.1", "--clamp", "4", "--tokens", "action", "--hold"]
    assert cli.main(["steer", "set", "12", *words]) == 0
    assert cli.main(["steer", "preset", "save", str(file)]) == 0
    assert f"1 edit(s) written to {file}" in capsys.readouterr().out
    preset = parse_preset(file.read_text())
    assert (preset.name, preset.bundles) == ("lift", {"expert.1": "e1"})
    assert cli.main(["steer", "preset", "save", str(file)]) == 2
    assert "exists already" in capsys.readouterr().err
    assert cli.main(["steer", "preset", "load", str(file)]) == 0  # held, so it returns at once
    assert [from_edit(edit) for edit in parse_preset(policy.presets[0].preset).edits] == list(
        policy.requests[0].edits
    )
    assert "accepted: 1 edit(s) of 'lift', revision 3" in capsys.readouterr().out


def test_ctrl_c_lets_go_of_a_presets_edits_but_for_the_held_ones(
    policy: FakePolicy, tmp_path: Path, monkeypatch, capsys
) -> None:
    def interrupt(*_arguments: object) -> None:
        raise KeyboardInterrupt

    file = tmp_path / "two.yaml"
    file.write_text(
        "format: 1\nname: two\nedits: [{feature: 3, mode: project_out, hold: true}, "
        "{feature: 4, mode: project_out}]\n"
    )
    monkeypatch.setattr(steer_client.SteerClient, "wait_until_gone", interrupt)
    assert cli.main(["steer", "preset", "load", str(file)]) == 0
    assert "released" in capsys.readouterr().out
    features = [
        [edit.feature for edit in parse_preset(request.preset).edits] for request in policy.presets
    ]
    assert features == [[3, 4], [3]]
    assert cli.main(["steer", "preset", "load", str(file), "--hold"]) == 0
    assert all(edit.hold for edit in parse_preset(policy.presets[-1].preset).edits)


@pytest.mark.parametrize(
    ("text", "status", "says"),
    [
        ("format: 1\nname: x\nbundles: {expert.1: other}\nedits: []\n", 1, "preset other"),
        ("format: 7\nname: x\nedits: []\n", 2, "preset format"),
        (None, 2, "No such file"),
    ],
)
def test_a_preset_that_does_not_fit_is_refused(
    policy: FakePolicy, tmp_path: Path, capsys, text: str | None, status: int, says: str
) -> None:
    file = tmp_path / "preset.yaml"
    if text is not None:
        file.write_text(text)
    assert cli.main(["steer", "preset", "load", str(file)]) == status
    said = capsys.readouterr()
    assert says in said.out + said.err
    assert not policy.requests


def test_no_edits_make_no_preset(policy: FakePolicy, tmp_path: Path, capsys) -> None:
    file = tmp_path / "none.yaml"
    assert cli.main(["steer", "preset", "save", str(file)]) == 2
    assert "there is no edit" in capsys.readouterr().err and not file.exists()


def test_without_a_system_the_next_step_is_said(monkeypatch, capsys) -> None:
    monkeypatch.setattr(steer_client, "STATE_TIMEOUT", 0.2)
    assert cli.main(["steer", "list"]) == 1
    assert "vla-sae up sim" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "mode", "unit", "value"),
    [
        (("--clamp", "-2"), Mode.CLAMP, Unit.OBSERVED_MAX, -2.0),
        (("--add", "1", "--unit", "norm"), Mode.ADD, Unit.RESIDUAL_NORM, 1.0),
        (("--scale", "0"), Mode.SCALE, Unit.NATURAL, 0.0),
        (("--project-out",), Mode.PROJECT_OUT, Unit.NATURAL, 0.0),
    ],
)
def test_the_options_describe_the_edit(words, mode: Mode, unit: Unit, value: float) -> None:
    edit = steer.edit_from(parse("set", "7", *words, "--tokens", "camera,state"))
    assert (edit.mode, edit.unit, edit.value) == (mode, unit, value)
    assert edit.token_groups == ("camera", "state")


@pytest.mark.parametrize(
    "words",
    [
        ("set", "7"),
        ("set", "seven", "--clamp", "1"),
        ("set", "7", "--clamp", "1", "--add", "1"),
        ("set", "7", "--clamp", "1", "--tokens", "cameras"),
        ("set", "7", "--clamp", "1", "--for", "-3s"),
        ("set", "7", "--clamp", "1", "--ramp", "nan"),
        ("bypass", "maybe"),
        (),
    ],
)
def test_wrong_options_are_refused_before_a_node_is_made(words: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit) as end:
        parse(*words)
    assert end.value.code == 2


@pytest.mark.parametrize(
    ("text", "value"), [("3s", 3.0), ("3", 3.0), ("500ms", 0.5), (".5", 0.5), ("2min", 120.0)]
)
def test_durations_are_read_in_seconds(text: str, value: float) -> None:
    assert steer.seconds(text) == value


@pytest.fixture
def two_policies(policy: FakePolicy, ros_context) -> Iterator[list[FakePolicy]]:
    """Two of one name: both act on every request."""
    other = FakePolicy(ros_context)
    executor = SingleThreadedExecutor(context=ros_context)
    executor.add_node(other.node)
    thread = threading.Thread(target=executor.spin)
    thread.start()
    yield [policy, other]
    executor.shutdown()
    thread.join()
    other.node.destroy_node()


@pytest.mark.parametrize("words", [("set", "5", "--clamp", "1", "--hold"), ("bypass", "off")])
def test_two_policies_of_one_name_are_said_and_neither_is_changed(
    two_policies: list[FakePolicy], capsys, words: tuple[str, ...]
) -> None:
    assert cli.main(["steer", *words]) == 1
    assert "2 policies are steered by the same name" in capsys.readouterr().out
    assert [each._state.revision for each in two_policies] == [1, 1]


@pytest.mark.parametrize("words", [("reset",), ("bypass", "on")])
def test_what_takes_edits_away_is_done_first_and_two_policies_are_said_afterwards(
    two_policies: list[FakePolicy], capsys, words: tuple[str, ...]
) -> None:
    for each in two_policies:
        each._state.edits = [SteeringEditState()]
    assert cli.main(["steer", *words]) == 1
    assert "at least one of them" in capsys.readouterr().out
    assert any(each._state.bypass or not each._state.edits for each in two_policies)


def test_an_inactive_policy_is_said(ros_context, monkeypatch, capsys) -> None:
    node = rclpy.create_node("policy", context=ros_context)

    def tell(_request: GetState.Request, response: GetState.Response) -> GetState.Response:
        response.current_state.label = "inactive"
        return response

    node.create_service(GetState, "policy/get_state", tell)
    executor = SingleThreadedExecutor(context=ros_context)
    executor.add_node(node)
    thread = threading.Thread(target=executor.spin)
    thread.start()
    monkeypatch.setattr(client, "SERVICE_TIMEOUT", 0.1)
    monkeypatch.setattr(client, "STATE_TIMEOUT", PATIENCE)
    assert cli.main(["steer", "reset"]) == 1
    assert "The policy node is inactive" in capsys.readouterr().err
    executor.shutdown()
    thread.join()
    node.destroy_node()


@pytest.mark.parametrize("domain", ["abc", "-1", "233", "1.5"])
@pytest.mark.parametrize("words", [("steer", "list"), ("record", "stop"), ("run",), ("up", "sim")])
def test_a_domain_that_is_none_is_refused_in_a_sentence(
    monkeypatch, capsys, words: tuple[str, ...], domain: str
) -> None:
    monkeypatch.setenv("ROS_DOMAIN_ID", domain)
    assert cli.main(list(words)) == 2
    said = capsys.readouterr().err
    assert f"got '{domain}'" in said and "0 to 232" in said and "Traceback" not in said


def test_an_injection_is_listed_and_switched_and_a_refusal_is_said(
    policy: FakePolicy, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["steer", "list"]) == 0
    assert "another episode's stream is injected at backbone.1" in capsys.readouterr().out
    assert cli.main(["steer", "inject", "off"]) == 0
    assert cli.main(["steer", "list"]) == 0
    assert "inject" not in capsys.readouterr().out.partition("accepted: injection off")[2]
    assert cli.main(["steer", "inject", "on"]) == 1
    assert "refused: without a stream to inject" in capsys.readouterr().out
