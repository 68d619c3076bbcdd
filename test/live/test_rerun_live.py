"""A running system is drawn into a viewer as its bag would be."""

from __future__ import annotations

import signal
import subprocess
from array import array
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from geometry_msgs.msg import PoseStamped
from patience import PATIENCE, eventually
from rclpy.context import Context
from rclpy.node import Node
from rrd import column, recordings
from sensor_msgs.msg import Image

from vla_sae_ros.live import rerun_live
from vla_sae_ros.live.rerun_viewer import free_port, open_viewer, viewer_at
from vla_sae_ros.msg import (
    EpisodeState,
    ExecutedAction,
    FeatureActivations,
    SteeringEdit,
    SteeringEditState,
    SteeringState,
)
from vla_sae_ros.study.rerun.sdk import program, require_sdk
from vla_sae_ros.wire import qos
from vla_sae_ros.wire.conversions import to_header, to_image, to_pose, to_time

START = 1_700_000_000 * 10**9
PERIOD = 50_000_000
PICTURE = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)


@pytest.fixture
def viewer(tmp_path: Path) -> Iterator[tuple[str, Path, subprocess.Popen[bytes]]]:
    """Rerun without a window: it keeps what it is sent in a file. Yields URL, file and process."""
    require_sdk()
    port = free_port()
    path = tmp_path / "seen.rrd"
    command = [str(program()), "--bind=127.0.0.1", f"--port={port}", f"--save={path}"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"rerun+http://127.0.0.1:{port}/proxy"

    def listens() -> bool:
        assert process.poll() is None, "Rerun ended"
        try:
            return bool(viewer_at(url))
        except Exception:
            return False

    try:
        eventually(listens)
        yield url, path, process
    finally:
        process.kill()
        process.wait(PATIENCE)


class System:
    """Publishes one episode: a steered inference, an action, a pose and a picture per step."""

    def __init__(self, context: Context) -> None:
        self.node = Node("system", context=context)
        self.publishers = {
            name: self.node.create_publisher(kind, name, profile)
            for name, kind, profile in (
                ("episode", EpisodeState, qos.LATCHED),
                ("steering/state", SteeringState, qos.LATCHED),
                ("executed_action", ExecutedAction, qos.EXECUTED),
                ("policy/features", FeatureActivations, qos.FEATURES),
                ("ee_pose", PoseStamped, qos.OBSERVATION),
                ("observation/image/wrist", Image, qos.OBSERVATION),
            )
        }
        edit = SteeringEdit(site="expert.1", feature=7, value=4.0)
        standing = SteeringEditState(edit=edit, owner="test", weight=1.0)
        self.publishers["steering/state"].publish(
            SteeringState(header=to_header(START), revision=1, edits=[standing])
        )
        self.tell(0)

    def tell(self, step: int) -> None:
        self.publishers["episode"].publish(
            EpisodeState(
                start=to_time(START),
                episode_id="e1",
                instruction="pick it up",
                step=step,
                status=EpisodeState.RUNNING,
                control_rate=20.0,
            )
        )

    def heard(self) -> bool:
        return all(each.get_subscription_count() for each in self.publishers.values())

    def go(self, step: int) -> None:
        header = to_header(START + step * PERIOD)
        self.publishers["observation/image/wrist"].publish(to_image(PICTURE, header))
        self.publishers["ee_pose"].publish(to_pose((0.1 * step, 0, 1), (0, 0, 0, 1), header))
        self.publishers["policy/features"].publish(
            FeatureActivations(
                header=header,
                episode_id="e1",
                site="expert.1",
                observation_step=step,
                index=array("I", [3, 7]),
                natural=array("f", [1.5, 0.25]),
                applied=array("f", [1.5, 4.0]),
            )
        )
        self.publishers["executed_action"].publish(
            ExecutedAction(header=header, episode_id="e1", step=step, action=array("f", [step]))
        )
        self.tell(step + 1)


class Drawn:
    """What a view drew: the different messages of every topic."""

    def __init__(self, view: rerun_live.LiveView) -> None:
        self._view, self._draw = view, view._drawing.draw
        self.messages: dict[str, set[bytes]] = defaultdict(set)
        view._drawing.draw = self._noting  # type: ignore[method-assign]

    def _noting(self, topic: str, msgtype: str, received: int, data: bytes) -> None:
        self._draw(topic, msgtype, received, data)
        self.messages[topic].add(data)

    def all_that_waits(self) -> None:
        while self._view.draw_next():
            pass


def test_what_a_system_says_is_in_the_viewer(
    viewer: tuple[str, Path, subprocess.Popen[bytes]], ros_context: Context
) -> None:
    url, path, process = viewer
    system = System(ros_context)
    view = rerun_live.LiveView(viewer_at(url))
    drawn = Drawn(view)
    once = ("observation/image/wrist", "ee_pose", "policy/features", "executed_action")

    def all_is_drawn() -> bool:
        # A publisher may know a subscription that does not know it yet: what it says then is lost.
        assert process.poll() is None, "Rerun ended"
        for step in range(3):
            system.go(step)
            drawn.all_that_waits()
        found = drawn.messages
        return bool(found["/episode"] and found["/steering/state"]) and all(
            len(found[f"/{name}"]) == 3 for name in once
        )

    try:
        eventually(system.heard)
        eventually(all_is_drawn)
    finally:
        words = view.close()
        system.node.destroy_node()
    assert "0 dropped, 0 not readable" in words
    process.send_signal(signal.SIGTERM)  # SIGINT is ignored where the tests' shell ignores it
    process.wait(PATIENCE)

    store = recordings(path)["e1"]
    assert column(path, store, "/actions/0", "Scalars:scalars") == {0: 0.0, 1: 1.0, 2: 2.0}
    for feature, applied, natural in ((3, 1.5, 1.5), (7, 4.0, 0.25)):
        for tree, value in (("applied", applied), ("natural", natural)):
            drawn_values = column(
                path, store, f"/features/{tree}/expert.1/{feature}", "Scalars:scalars"
            )
            assert drawn_values == dict.fromkeys(range(3), value)
    pose = column(path, store, "/hand/pose", "Transform3D:translation")
    np.testing.assert_allclose(pose[2], (0.2, 0, 1), rtol=1e-6)
    assert column(path, store, "/camera/wrist", "Image:buffer")[1] == PICTURE.ravel().tolist()
    (lane,) = column(path, store, "/lanes/steering/expert.1/7", "StateChange:state").values()
    assert lane == "clamp 4, test"


def test_more_than_can_be_drawn_is_dropped_and_counted() -> None:
    arrivals = rerun_live.Arrivals()
    for number in range(rerun_live._WAITING + 3):
        arrivals.put("/t", number, b"")
    assert arrivals.dropped == {"/t": 3}
    assert arrivals.waiting.get() == ("/t", 0, b"")


def test_a_viewer_that_does_not_open_says_why_and_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vla_sae_ros.core.errors import RecordingError
    from vla_sae_ros.live import rerun_viewer

    broken = tmp_path / "rerun"
    broken.write_text("#!/bin/sh\necho 'no display' >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setattr(rerun_viewer, "program", lambda: broken)
    with pytest.raises(RecordingError, match=r"no display Without a screen.*--connect"):
        open_viewer()
