"""Markers say where the hand was, where the chunk would take it, and what steers."""

from __future__ import annotations

import math
import threading
from array import array
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import rclpy
from geometry_msgs.msg import PoseStamped
from patience import PATIENCE, eventually
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from visualization_msgs.msg import Marker, MarkerArray

from vla_sae_ros.core.steering import Edit, Mode, Phase, StandingEdit, StateView
from vla_sae_ros.msg import (
    ActionChunk,
    EpisodeState,
    FeatureActivations,
    FeatureCatalogue,
    FeatureInfo,
    MonitorState,
    SteeringState,
)
from vla_sae_ros.nodes.markers.hand_path import UNKNOWN, HandPath, colour_of, previewed
from vla_sae_ros.nodes.markers.markers_node import MarkersNode
from vla_sae_ros.nodes.markers.messages import ALARM_COLOUR, alarm_words, steering_words
from vla_sae_ros.wire import qos
from vla_sae_ros.wire.conversions import to_header, to_pose
from vla_sae_ros.wire.steering_messages import from_state

START = 1_700_000_000_000_000_000


def standing(feature: int, mode: Mode = Mode.CLAMP, weight: float = 1.0) -> StandingEdit:
    phase = Phase.HOLDING if weight == 1.0 else Phase.RAMPING_IN
    return StandingEdit(Edit(feature, mode, 1.0, "expert.1"), "me", phase, 4.0, 4.0, weight, 9.0)


def state(*edits: StandingEdit, bypass: bool = False) -> StateView:
    return StateView(1, bypass, 1.5, 20.0, 0.0, edits)


def test_the_preview_adds_up_the_actions_and_never_goes_beyond_their_range() -> None:
    actions = np.array([[1.0, 0, 0, 9, 9], [0, -0.5, 0, 0, 0], [5.0, 0, 0.5, 0, 0]])
    points = previewed([0.1, 0.2, 0.3], actions, 0.02)
    np.testing.assert_allclose(
        points, [[0.1, 0.2, 0.3], [0.12, 0.2, 0.3], [0.12, 0.19, 0.3], [0.14, 0.19, 0.31]]
    )


def test_colours_go_from_dark_to_bright_and_grey_is_unknown() -> None:
    brightness = [sum(colour_of(value)) for value in np.linspace(0, 1, 20)]
    assert brightness == sorted(brightness) and brightness[-1] > brightness[0] + 1
    assert colour_of(7.0) == colour_of(1.0)
    assert colour_of(math.nan) == UNKNOWN


def test_the_path_keeps_its_newest_points() -> None:
    path = HandPath(2)
    for x in range(3):
        path.add((float(x), 0.0, 0.0), 0.0)
    assert path.points == [(1.0, 0.0, 0.0), (2.0, 0.0, 0.0)] and len(path.colours()) == 2


def test_the_steering_is_told_in_short_lines() -> None:
    assert steering_words(state()) == "no steering"
    words = steering_words(state(standing(80, weight=0.5), standing(3, Mode.PROJECT_OUT)))
    assert words == "expert.1 #80 clamp 4 (50%, ramping_in)\nexpert.1 #3 project_out (100%)"
    many = steering_words(state(*(standing(n) for n in range(9)), bypass=True))
    assert many.startswith("BYPASSED\n") and many.endswith("and 5 more")


CAUSE = "fvu at backbone.1 0.9 above 0.5 at step 4, inference 2"


def judged(alarm: bool, episode_id: str = "e1") -> MonitorState:
    detail = f"{CAUSE} (what the SAE leaves unexplained); marked" if alarm else ""
    return MonitorState(
        episode_id=episode_id, score_name="fvu", alarm=alarm, alarm_step=4, detail=detail
    )


def test_an_alarm_is_told_with_what_set_it_off_and_nothing_without_one() -> None:
    assert alarm_words(judged(False)) == ""
    assert alarm_words(judged(True)) == f"ALARM: {CAUSE}"
    assert alarm_words(MonitorState(alarm=True, score_name="fvu")) == "ALARM: fvu"


class Talker:
    """Publishes what the bridge and the policy would, and keeps the markers."""

    def __init__(self, context: Context) -> None:
        self.node = rclpy.create_node("talker", context=context)
        self.arrived = threading.Condition()
        self.arrays: list[MarkerArray] = []
        self.publishers = {
            kind: self.node.create_publisher(kind, topic, profile)
            for kind, topic, profile in (
                (PoseStamped, "ee_pose", qos.OBSERVATION),
                (FeatureActivations, "policy/features", qos.FEATURES),
                (ActionChunk, "policy/action_chunk", qos.CHUNK),
                (FeatureCatalogue, "policy/catalogue", qos.LATCHED),
                (SteeringState, "steering/state", qos.LATCHED),
                (EpisodeState, "episode", qos.LATCHED),
            )
        }
        self.node.create_subscription(MarkerArray, "markers", self._keep, qos.LATCHED)

    def _keep(self, message: MarkerArray) -> None:
        with self.arrived:
            self.arrays.append(message)
            self.arrived.notify_all()

    def say(self, message: Any) -> None:
        self.publishers[type(message)].publish(message)

    def until(self, wanted: Callable[[dict[str, Marker]], bool]) -> dict[str, Marker]:
        """Return the first array, as markers by namespace, that is wanted."""

        def found() -> list[dict[str, Marker]]:
            arrays = [{m.ns: m for m in array.markers} for array in self.arrays]
            return [array for array in arrays if wanted(array)]

        with self.arrived:
            assert self.arrived.wait_for(lambda: bool(found()), PATIENCE)
            return found()[0]


def is_empty(markers: dict[str, Marker]) -> bool:
    return all(marker.action == Marker.DELETE for marker in markers.values())


@pytest.fixture
def talker(ros_context: Context) -> Iterator[Talker]:
    node = MarkersNode(
        context=ros_context, parameter_overrides=[Parameter("metres_per_action", value=0.01)]
    )
    talker = Talker(ros_context)
    executor = SingleThreadedExecutor(context=ros_context)
    for spun in (node, talker.node):
        executor.add_node(spun)
    thread = threading.Thread(target=executor.spin, daemon=True)
    thread.start()
    eventually(lambda: all(p.get_subscription_count() for p in talker.publishers.values()))
    # What is sent before a best-effort reader knows its writer, too, is lost.
    topics = {publisher.topic_name for publisher in talker.publishers.values()}
    readers = [each for each in node.subscriptions if each.topic_name in topics]
    eventually(lambda: all(reader.get_publisher_count() for reader in readers))
    yield talker
    executor.shutdown()
    thread.join()
    node.destroy_node()
    talker.node.destroy_node()


def pose(step: int) -> PoseStamped:
    return to_pose([0.1 * step, 0.0, 0.5], [1, 0, 0, 0], to_header(START + step, "world"))


def test_the_node_draws_in_the_frame_of_the_hand_and_colours_by_the_edited_feature(
    talker: Talker,
) -> None:
    talker.say(EpisodeState(episode_id="e1", header=to_header(START)))
    talker.until(is_empty)
    talker.say(
        FeatureCatalogue(
            features=[FeatureInfo(site="expert.1", feature=80, label="hand up", observed_max=2.0)]
        )
    )
    talker.say(from_state(state(standing(80))))
    talker.say(pose(0))
    drawn = talker.until(lambda m: not is_empty(m) and "clamp" in m["steering"].text)
    assert {marker.header.frame_id for marker in drawn.values()} == {"world"}
    talker.say(
        FeatureActivations(
            site="expert.1",
            index=array("I", [7, 80]),
            natural=array("f", [1, 0]),
            applied=array("f", [1, 2]),
        )
    )
    talker.say(
        ActionChunk(
            header=to_header(START),
            chunk_id=1,
            horizon=2,
            action_dim=7,
            actions=array("f", [1, 0, 0, 0, 0, 0, 1] * 2),
        )
    )
    preview = talker.until(lambda m: not is_empty(m) and "chunk_preview" in m)["chunk_preview"]
    np.testing.assert_allclose([p.x for p in preview.points], [0.0, 0.01, 0.02])
    talker.until(lambda m: "= 1.00 x max" in m["steering"].text)
    talker.say(pose(1))
    markers = talker.until(lambda m: len(m["hand_path"].points) == 2)
    path = markers["hand_path"]
    assert path.type == Marker.LINE_STRIP and len(path.colors) == 2
    assert (path.colors[1].r, path.colors[1].b) == pytest.approx(
        (colour_of(1.0)[0], colour_of(1.0)[2])
    )
    assert "hand up" in markers["steering"].text and "clamp 4" in markers["steering"].text
    assert markers["steering"].pose.position.z > 0.5


def test_a_new_episode_takes_the_old_path_away_and_a_malformed_chunk_is_not_drawn(
    talker: Talker,
) -> None:
    talker.say(pose(0))
    talker.until(lambda m: len(m["hand_path"].points) == 1)
    talker.say(
        ActionChunk(header=to_header(START), horizon=9, action_dim=7, actions=array("f", [1.0]))
    )
    talker.say(EpisodeState(episode_id="e2", header=to_header(START)))
    talker.until(is_empty)
    talker.say(pose(1))
    again = talker.until(lambda m: [p.x > 0 for p in m["hand_path"].points] == [True])
    assert "chunk_preview" not in again


class Kept:
    """A publisher that keeps what is published: nothing travels, so nothing is late or lost."""

    def __init__(self) -> None:
        self.newest: dict[str, Marker] = {}

    def publish(self, array: MarkerArray) -> None:
        self.newest = {marker.ns: marker for marker in array.markers}


def test_an_alarm_stands_over_the_hand_until_the_next_episode(ros_context: Context) -> None:
    node = MarkersNode(context=ros_context)
    assert "/monitor/state" in {each.topic_name for each in node.subscriptions}
    kept = node._publisher = Kept()
    node._episode(EpisodeState(episode_id="e1", header=to_header(START)))
    node._moved(pose(0))
    assert kept.newest["steering"].text == "no steering"
    node._judged(judged(False))
    node._judged(judged(True))
    drawn = kept.newest["steering"]
    assert drawn.text == f"ALARM: {CAUSE}\nno steering"
    assert (drawn.color.r, drawn.color.g) == pytest.approx(ALARM_COLOUR[:2])
    node._episode(EpisodeState(episode_id="e2", header=to_header(START)))
    assert is_empty(kept.newest)
    node._judged(judged(True))  # of the episode before, late
    node._moved(pose(1))
    assert kept.newest["steering"].text == "no steering"
    node._judged(judged(True, "e2"))
    assert kept.newest["steering"].text.startswith("ALARM")
    node.destroy_node()


def test_an_injection_is_told_over_the_hand() -> None:
    assert steering_words(replace(state(), injection="backbone.1")) == "INJECTED at backbone.1"
    both = steering_words(replace(state(standing(3), bypass=True), injection="backbone.1"))
    assert both.startswith("BYPASSED\nINJECTED at backbone.1\n") and "#3" in both
