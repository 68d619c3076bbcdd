"""The policy node over real DDS, with lerobot's own SmolVLA class (tiny) and a fake bridge."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from fake_bridge import INSTRUCTION, PERIOD, START, FakeBridge, served
from hanging_end import participant_threads
from patience import PATIENCE, eventually
from rclpy.context import Context
from rclpy.parameter import Parameter
from sensor_msgs.msg import Image
from std_srvs.srv import SetBool, Trigger

from vla_sae_ros.core.catalogue import Catalogue
from vla_sae_ros.core.errors import ConfigurationError, VlaSaeError
from vla_sae_ros.core.picture_record import PictureRecord
from vla_sae_ros.core.steering import Edit, Mode, format_preset
from vla_sae_ros.core.user_notes import notes_file
from vla_sae_ros.msg import (
    ActionChunk,
    FeatureActivations,
    FeatureCatalogue,
    NodeDescription,
    SteeringEvent,
    SteeringState,
)
from vla_sae_ros.nodes.base.node_description import DescriptionPublisher
from vla_sae_ros.nodes.base.told_pictures import picture_facts
from vla_sae_ros.nodes.policy import policy_node
from vla_sae_ros.nodes.policy.policy_node import PolicyNode
from vla_sae_ros.policy.checkpoints.loaded import LoadedPolicy
from vla_sae_ros.policy.engine import PolicyEngine
from vla_sae_ros.policy.taps.heatmap import draw_heatmap
from vla_sae_ros.sae import ActiveCode, SaeBundle
from vla_sae_ros.srv import AnnotateFeature, ApplyPreset, SelectHeatmap, SetSteering
from vla_sae_ros.wire.conversions import to_header, to_time
from vla_sae_ros.wire.leaving import leave_graph
from vla_sae_ros.wire.steering_messages import from_edit

SITES = ("backbone.0", "expert.1")

Started = tuple[PolicyNode, FakeBridge]


@pytest.fixture
def trained() -> PictureRecord | None:
    """What the policy's folder says of its pictures; a test may say otherwise."""
    return None


@pytest.fixture
def started(
    ros_context: Context,
    tiny_policy_folder: Path,
    loaded: LoadedPolicy,
    make_bundle: Callable[..., SaeBundle],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    trained: PictureRecord | None,
) -> Iterator[Started]:
    """A policy node with two tapped sites and a fake bridge, both spinning."""
    monkeypatch.setattr(policy_node, "read_picture_record", lambda folder: trained)
    for site in SITES:
        make_bundle(loaded, site).save(tmp_path / site)
    with served(
        ros_context,
        policy=str(tiny_policy_folder),
        bundles=[str(tmp_path / site) for site in SITES],
        frame_timeout=0.3,
        slew_limit=1e6,
    ) as both:
        yield both


def test_a_request_is_answered_with_a_chunk_of_that_very_observation(started: Started) -> None:
    _node, bridge = started
    chunk = bridge.chunk(5)
    assert chunk.header.stamp == to_time(START + 5 * PERIOD)
    assert (chunk.episode_id, chunk.observation_step, chunk.steering_revision) == ("e1", 5, 0)
    assert (chunk.horizon, chunk.action_dim, len(chunk.actions)) == (6, 7, 42)
    for site in SITES:
        features = bridge.wait_for(FeatureActivations, lambda m, site=site: m.site == site)
        assert features.chunk_id == chunk.chunk_id
        assert len(features.index) == len(features.natural) == len(features.applied) > 0
        assert features.natural == features.applied


def test_the_served_actions_are_those_of_the_plain_policy_to_the_bit(
    started: Started, loaded: LoadedPolicy
) -> None:
    _node, bridge = started
    chunk = bridge.chunk(2)
    picture = np.random.default_rng(2).integers(0, 256, (256, 256, 3), np.uint8)
    # The hand points down: axis-angle (pi, 0, 0) of the quaternion (1, 0, 0, 0).
    state = np.array([0.1, 0.2, 0.3, np.pi, 0.0, 0.0, 0.01, -0.01], np.float32)
    frame = {
        "observation.images.agentview": picture,
        "observation.images.wrist": picture,
        "observation.state": state,
    }
    plain = PolicyEngine(loaded).infer(frame, INSTRUCTION, (3, 2)).actions
    assert np.array(chunk.actions, np.float32).tobytes() == plain.tobytes()


def test_a_steering_change_makes_the_policy_replan_at_once_from_the_newest_observation(
    started: Started,
) -> None:
    _node, bridge = started
    before = bridge.chunk(0)
    response = bridge.steer(Edit(2, Mode.ADD, 6.0, "expert.1"))
    assert (response.accepted, response.revision) == (True, 1)
    replanned = bridge.wait_for(ActionChunk, lambda m: m.replan)
    assert (replanned.steering_revision, replanned.observation_step) == (1, 0)
    assert replanned.chunk_id > before.chunk_id
    assert list(replanned.actions) != list(before.actions)
    features = bridge.wait_for(
        FeatureActivations, lambda m: m.site == "expert.1" and m.steering_revision == 1
    )
    place = list(features.index).index(2)
    assert features.applied[place] == pytest.approx(features.natural[place] + 6.0, abs=1e-3)
    state = bridge.wait_for(SteeringState, lambda m: m.revision == 1 and m.edits)
    assert state.edits[0].commanded == 6.0
    event = bridge.wait_for(SteeringEvent, lambda m: m.kind == SteeringEvent.SET)
    assert (event.owner, event.feature, event.to_value) == ("test", 2, 6.0)


def test_bypass_and_reset_bring_the_plain_actions_back_to_the_bit(started: Started) -> None:
    _node, bridge = started
    plain = list(bridge.chunk(0).actions)
    bridge.steer(Edit(2, Mode.ADD, 6.0, "expert.1"))
    bridge.wait_for(ActionChunk, lambda m: m.steering_revision == 1)
    bridge.call("bypass", SetBool.Request(data=True))
    bypassed = bridge.wait_for(ActionChunk, lambda m: m.steering_revision == 2)
    assert list(bypassed.actions) == plain
    bridge.call("bypass", SetBool.Request(data=False))
    again = bridge.wait_for(ActionChunk, lambda m: m.steering_revision == 3)
    assert list(again.actions) != plain
    bridge.call("reset", Trigger.Request())
    bridge.wait_for(ActionChunk, lambda m: m.steering_revision == 4)
    bridge.observe(1)
    bridge.request(1)
    bridge.wait_for(ActionChunk, lambda m: m.observation_step == 1)
    state = bridge.wait_for(SteeringState, lambda m: m.revision == 4 and not m.edits)
    assert not state.bypass


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (Edit(2, Mode.CLAMP, float("nan"), "expert.1"), "not a finite number"),
        (Edit(999, Mode.CLAMP, 1.0, "expert.1"), "unknown feature"),
        (Edit(2, Mode.CLAMP, 1.0, "expert.9"), "unknown site"),
    ],
)
def test_a_bad_request_is_refused_with_its_reason_and_changes_nothing(
    started: Started, edit: Edit, says: str
) -> None:
    _node, bridge = started
    response = bridge.steer(edit)
    assert not response.accepted
    assert says in response.reason
    assert response.revision == 0
    assert says in bridge.wait_for(SteeringEvent, lambda m: m.kind == SteeringEvent.REFUSED).reason


def test_edits_of_an_owner_that_is_gone_are_released(started: Started) -> None:
    _node, bridge = started
    bridge.chunk(0)
    bridge.steer(Edit(2, Mode.ADD, 6.0, "expert.1"), lease=0.2)
    event = bridge.wait_for(SteeringEvent, lambda m: m.kind == SteeringEvent.LEASE_EXPIRED)
    assert event.owner == "test"
    bridge.wait_for(ActionChunk, lambda m: m.steering_revision == 2)


def test_a_preset_that_is_not_one_is_refused(started: Started) -> None:
    _node, bridge = started
    response = bridge.call("preset", ApplyPreset.Request(preset="[]", owner="test"))
    assert not response.accepted
    assert "a mapping with format, name, edits, bundles" in response.reason
    bridge.wait_for(
        SteeringEvent, lambda m: "a mapping with format, name, edits, bundles" in m.reason
    )


def test_a_preset_made_with_another_bundle_is_refused_and_one_made_with_this_is_taken(
    started: Started,
) -> None:
    node, bridge = started
    assert node._engine is not None
    edits = [Edit(2, Mode.ADD, 6.0, "expert.1")]
    text = format_preset("lift", edits, {"expert.1": "0123456789abcdef"})
    response = bridge.call("preset", ApplyPreset.Request(preset=text, owner="test"))
    assert not response.accepted
    assert "other SAE bundles: expert.1" in response.reason
    text = format_preset("lift", edits, {"expert.1": node._engine.bundles[1].bundle_id})
    response = bridge.call("preset", ApplyPreset.Request(preset=text, owner="test"))
    assert (response.accepted, response.revision) == (True, 1)


def test_a_mode_that_does_not_exist_is_refused_and_stands_in_the_audit_trail(
    started: Started,
) -> None:
    _node, bridge = started
    message = from_edit(Edit(2, Mode.CLAMP, 1.0, "expert.1"))
    message.mode = 9
    response = bridge.call("set", SetSteering.Request(edits=[message], owner="test"))
    assert "unknown mode" in response.reason
    assert bridge.wait_for(SteeringEvent, lambda m: "unknown mode" in m.reason).owner == "test"


def test_a_camera_that_stops_is_named_and_no_chunk_comes(started: Started) -> None:
    _node, bridge = started
    bridge.chunk(0)
    bridge.observe(1, without="wrist")
    bridge.request(1)

    def is_complaint(message: DiagnosticArray) -> bool:
        return any(
            s.level == DiagnosticStatus.ERROR and "observation.images.wrist" in s.message
            for s in message.status
        )

    bridge.wait_for(DiagnosticArray, is_complaint)
    assert not any(chunk.observation_step == 1 for chunk in bridge.got[ActionChunk])
    bridge.observe(1)  # the camera is back: the waiting request is answered
    bridge.wait_for(ActionChunk, lambda m: m.observation_step == 1)


def test_an_unanswered_request_is_forgotten_when_its_episode_ends(started: Started) -> None:
    _node, bridge = started
    bridge.chunk(0)
    bridge.observe(1, without="wrist")
    bridge.request(1)
    bridge.wait_for(DiagnosticArray, lambda m: m.status[0].level == DiagnosticStatus.ERROR)
    bridge.end_episode()
    ended = len(bridge.got[DiagnosticArray])
    serves = DiagnosticStatus.OK
    bridge.wait_for(
        DiagnosticArray,
        lambda m: m in bridge.got[DiagnosticArray][ended:] and m.status[0].level == serves,
    )
    bridge.observe(1)
    bridge.chunk(2)
    assert not any(chunk.observation_step == 1 for chunk in bridge.got[ActionChunk])


def test_a_picture_of_a_wrong_kind_is_refused_and_counted(started: Started) -> None:
    _node, bridge = started
    picture = Image(header=to_header(START), height=2, width=2, encoding="32FC1", step=8)
    bridge._pictures["wrist"].publish(picture)

    def is_counted(message: DiagnosticArray) -> bool:
        values = {v.key: v.value for s in message.status for v in s.values}
        return values.get("refused observations") == "1" and "32FC1" in values["last refusal"]

    bridge.wait_for(DiagnosticArray, is_counted)
    bridge.chunk(1)


def test_features_that_the_published_lists_leave_out_are_counted(
    started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ActiveCode, "unlisted", lambda *_: 3)
    _, bridge = started
    bridge.chunk(1)
    key, expected = "active features left out of the lists", str(3 * len(SITES))
    bridge.wait_for(
        DiagnosticArray,
        lambda m: any((v.key, v.value) == (key, expected) for v in m.status[0].values),
    )


def test_the_catalogue_is_there_for_those_who_come_late(
    started: Started, ros_context: Context
) -> None:
    _node, bridge = started
    catalogue = bridge.wait_for(FeatureCatalogue)
    assert catalogue.sites == list(SITES)
    assert list(catalogue.can_steer) == [True, True]
    assert {info.label for info in catalogue.features if info.site == "expert.1"} >= {"feature 2"}


def test_the_node_says_what_it_serves(started: Started, loaded: LoadedPolicy) -> None:
    node, bridge = started
    assert node._engine is not None
    message = bridge.wait_for(NodeDescription)
    told = dict(zip(message.names, message.values, strict=True))
    assert (message.node, told["policy_id"]) == ("/policy", loaded.policy_id)
    assert told["bundle_id.expert.1"] == node._engine.bundles[1].bundle_id
    assert told["parameter.device"] == "cpu"


def test_the_chosen_feature_is_drawn_while_somebody_looks_and_not_before(
    started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    node, bridge = started
    drawn: list[int] = []

    def counting(reading: Any, feature: int, *rest: Any) -> np.ndarray:
        drawn.append(feature)
        return draw_heatmap(reading, feature, *rest)

    monkeypatch.setattr("vla_sae_ros.policy.engine.draw_heatmap", counting)
    assert bridge.call("heatmap", SelectHeatmap.Request(site="backbone.0", feature=5)).accepted
    bridge.chunk(0)
    bridge.wait_for(FeatureActivations, lambda m: m.observation_step == 0)
    (publisher,) = (p for p in node.publishers if p.topic_name == "/policy/feature_heatmap")
    bridge.look_at_heatmaps(publisher)
    bridge.chunk(1)
    picture = bridge.wait_for(Image)
    assert drawn == [5]
    assert (picture.encoding, picture.height, picture.width) == ("rgb8", 256, 512)
    assert picture.header.stamp == to_time(START + PERIOD)
    assert picture.header.frame_id == "backbone.0:5"
    assert bridge.call("heatmap", SelectHeatmap.Request()).accepted
    bridge.chunk(2)
    bridge.chunk(3)
    assert drawn == [5]


def test_a_heatmap_of_an_expert_site_is_refused_and_the_choice_stays(started: Started) -> None:
    _node, bridge = started
    response = bridge.call("heatmap", SelectHeatmap.Request(site="expert.1", feature=5))
    assert not response.accepted
    assert "Choose a backbone site" in response.reason


def test_what_a_person_writes_is_kept_in_the_users_folder_and_published(
    started: Started, tmp_path: Path
) -> None:
    node, bridge = started
    before = (tmp_path / "expert.1" / "catalogue.json").read_text()
    request = AnnotateFeature.Request(
        site="expert.1", feature=3, label="hand opens", notes="seen twice", author="me"
    )
    assert bridge.call("annotate", request).accepted

    def is_published(message: FeatureCatalogue) -> bool:
        return any(
            (info.site, info.feature, info.label, info.label_source, info.notes)
            == ("expert.1", 3, "hand opens", "person", "seen twice")
            for info in message.features
        )

    bridge.wait_for(FeatureCatalogue, is_published)
    assert (tmp_path / "expert.1" / "catalogue.json").read_text() == before
    assert node._engine is not None
    (bundle,) = (each for each in node._engine.bundles if each.card.site == "expert.1")
    entry = Catalogue.load(notes_file(bundle.bundle_id)).get(3)
    assert entry is not None
    assert (entry.label, entry.label_source, entry.notes) == ("hand opens", "person", "seen twice")


@pytest.mark.parametrize(
    ("site", "feature", "says"),
    [("expert.1", 9999, "unknown feature"), ("expert.9", 3, "no SAE on this site")],
)
def test_a_note_on_nothing_is_refused(started: Started, site: str, feature: int, says: str) -> None:
    _node, bridge = started
    response = bridge.call("annotate", AnnotateFeature.Request(site=site, feature=feature))
    assert not response.accepted
    assert says in response.reason


def test_a_note_that_cannot_be_written_is_refused_and_changes_nothing(
    started: Started, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _node, bridge = started
    path = tmp_path / "expert.1" / "catalogue.json"
    before = path.read_text()
    monkeypatch.setenv("XDG_DATA_HOME", str(path))  # no folder: as good as a read-only one
    request = AnnotateFeature.Request(site="expert.1", feature=3, label="hand opens")
    response = bridge.call("annotate", request)
    assert not response.accepted
    assert "writable" in response.reason
    assert path.read_text() == before


def test_hooks_are_gone_and_services_too_after_cleanup(started: Started) -> None:
    node, _bridge = started
    assert node._engine is not None
    policy = node._engine.loaded.policy
    done = threading.Event()

    def cleanup() -> None:
        node.trigger_deactivate()
        node.trigger_cleanup()
        done.set()

    node.executor.create_task(cleanup)  # where a lifecycle service would call it
    assert done.wait(PATIENCE)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in policy.modules())
    offered = {p.topic_name for p in node.publishers} | {s.srv_name for s in node.services}
    assert not offered & {
        "/policy/action_chunk",
        "/policy/features",
        "/description",
        "/steering/set",
        "/steering/state",
    }


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ({"policy": ""}, "no policy named"),
        ({"policy": "nowhere"}, "no policy folder nowhere"),
        ({"bundles": ["nowhere"]}, "nowhere"),
        ({"heatmap_site": "expert.1", "heatmap_feature": 3}, "heatmap_site.*backbone site"),
        ({"device": "cuda:9"}, "cannot use this device"),
        ({"contract": "nowhere.yaml"}, "nowhere.yaml"),
    ],
)
def test_a_configuration_that_cannot_be_served_is_refused_in_plain_words(
    ros_context: Context, tiny_policy_folder: Path, parameters: dict[str, Any], says: str
) -> None:
    given = {"policy": str(tiny_policy_folder), **parameters}
    overrides = [Parameter(name, value=value) for name, value in given.items()]
    node = PolicyNode(context=ros_context, parameter_overrides=overrides)
    try:
        with pytest.raises(VlaSaeError, match=says):
            node.start()
    finally:
        node.destroy_node()


def test_a_bundle_of_another_policy_is_refused_before_the_first_action(
    ros_context: Context,
    tiny_policy_folder: Path,
    loaded: LoadedPolicy,
    make_bundle: Callable[..., SaeBundle],
    tmp_path: Path,
) -> None:
    make_bundle(loaded, "expert.1", policy_id="another").save(tmp_path / "b")
    overrides = [
        Parameter("policy", value=str(tiny_policy_folder)),
        Parameter("bundles", value=[str(tmp_path / "b")]),
    ]
    node = PolicyNode(context=ros_context, parameter_overrides=overrides)
    try:
        with pytest.raises(ConfigurationError, match="policy id"):
            node.start()
    finally:
        node.destroy_node()


@pytest.mark.parametrize("trained", [PictureRecord("quick", "3.3.0")])
def test_pictures_of_another_quality_than_the_policy_was_trained_on_get_no_answer(
    started: Started,
) -> None:
    node, bridge = started
    said = bridge.wait_for(NodeDescription, lambda message: message.node == "/policy")
    told = dict(zip(said.names, said.values, strict=True))
    assert told["pictures trained on: render quality"] == "quick"
    bridge.chunk(0)  # nobody has said yet what is drawn
    DescriptionPublisher(bridge.node, picture_facts("drawn", PictureRecord("full", "3.3.0")))
    server = node._server
    assert server is not None
    eventually(lambda: server._pictures._other)
    before = len(bridge.got[ActionChunk])
    bridge.observe(1)
    bridge.request(1)
    eventually(lambda: server._refused)
    assert len(bridge.got[ActionChunk]) == before


def test_when_the_node_has_left_nothing_of_it_is_in_the_graph(
    ros_context: Context, tiny_policy_folder: Path
) -> None:
    others = participant_threads()
    policy = Parameter("policy", value=str(tiny_policy_folder))
    node = PolicyNode(context=ros_context, parameter_overrides=[policy])
    node.start()
    threads = participant_threads() - others
    assert threads
    leave_graph(node)
    eventually(lambda: not participant_threads() & threads)
