"""Remarks and recordings on the wire."""

from __future__ import annotations

import time
from typing import Any

import pytest
from patience import eventually

from vla_sae_ros.msg import Annotation, RecordingState
from vla_sae_ros.nodes.base.heard_clients import LOOK
from vla_sae_ros.panel.ros.commands import ROBOT_LEASE
from vla_sae_ros.panel.state.values import EpisodeView
from vla_sae_ros.robot.loop.loop import _ANSWER, _BRAKING, _PATIENCE
from vla_sae_ros.wire import qos


def test_a_remark_carries_the_episode_its_step_and_the_observations_stamp(ros) -> None:
    heard: list[Annotation] = []
    ros.node.create_subscription(Annotation, "annotation", heard.append, qos.EVENTS)
    eventually(lambda: ros.node.count_subscribers("annotation") > 0)
    running = EpisodeView(
        "e7",
        "libero_object",
        0,
        "",
        55,
        280,
        "running",
        "",
        False,
        0,
        0,
        0,
        running=True,
        time=1234.25,
        start=1230.0,
    )
    ros.client.commands.annotate("grasp looked wrong", running)
    ros.client.commands.annotate("idle now", None)
    eventually(lambda: len(heard) == 2)
    inside, outside = heard
    assert (inside.text, inside.episode_id, inside.step) == ("grasp looked wrong", "e7", 55)
    assert inside.author == ros.client.owner
    assert (inside.header.stamp.sec, inside.header.stamp.nanosec) == (1234, 250_000_000)
    assert (outside.episode_id, outside.step) == ("", -1)
    assert abs(outside.header.stamp.sec - time.time()) < 60


def test_the_recorders_latched_word_is_heard(ros) -> None:
    """A fake recorder speaks."""
    recorder = ros.node.create_publisher(RecordingState, "record/state", qos.LATCHED)
    recorder.publish(
        RecordingState(
            status=RecordingState.RECORDING,
            uri="/tmp/b",
            elapsed=3.5,
            size=2000,
            messages=7,
            dropped=1,
            detail="slow\ndisk",
        )
    )
    found: list = []

    def done() -> bool:
        found.extend(ros.client.incoming.recordings.take().values())
        return bool(found)

    eventually(done)
    view = found[0]
    assert view.recording and (view.uri, view.elapsed, view.size, view.messages, view.dropped) == (
        "/tmp/b",
        3.5,
        2000,
        7,
        1,
    )
    assert view.detail == "slow disk"


def test_the_panel_waits_for_an_enable_and_a_recover_for_as_long_as_the_bridge_may(
    ros, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For the heartbeats of others to end, then for the arm to stand: an arm that is enabled after
    the panel has said "no answer in time" would surprise its operator. For a robot that recovers:
    whoever was told that it did not presses Recover again."""
    limits: list[float] = []

    def send(_client: Any, _request: Any, _words: str, _judge: Any, limit: float) -> int:
        limits.append(limit)
        return 1

    monkeypatch.setattr(ros.client.commands._requests, "send", send)
    ros.client.commands.enable_bridge(True)
    ros.client.commands.recover_bridge()
    assert limits[0] > ROBOT_LEASE + LOOK + _BRAKING
    assert limits[1] > _PATIENCE + _ANSWER
