"""The recorder over real DDS: start, record, stop, read back; and what it refuses."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from patience import PATIENCE, eventually
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rosbags.highlevel import AnyReader
from sensor_msgs.msg import Image, JointState
from std_srvs.srv import Trigger

from vla_sae_ros import cli
from vla_sae_ros.bags.pictures import picture_of
from vla_sae_ros.bags.storage.findings import Findings
from vla_sae_ros.bags.storage.metadata import read_metadata
from vla_sae_ros.msg import (
    ActionChunk,
    EpisodeState,
    FeatureActivations,
    NodeDescription,
    RecordingState,
)
from vla_sae_ros.nodes.recorder import recorder_node
from vla_sae_ros.nodes.recorder.recorder_node import RecorderNode
from vla_sae_ros.srv import StartRecording
from vla_sae_ros.study.bag_commands.repair import repair
from vla_sae_ros.wire import qos
from vla_sae_ros.wire.conversions import to_floats, to_image, to_unsigned


class Graph:
    """A recorder and a publishing node, each with its own context, spun by threads."""

    def __init__(self, folder: Path, **parameters: Any) -> None:
        given = {"output_folder": str(folder), "min_free_disk": 0, **parameters}
        arguments = ["--ros-args"]
        for name, value in given.items():
            text = str(value).lower() if isinstance(value, bool) else str(value)
            arguments += ["-p", f"{name}:={text}"]
        rclpy.init(args=arguments)  # the recorder lives in the default context, as in its process
        source_context = Context()
        rclpy.init(context=source_context)
        self.source = Node("source", context=source_context)
        self._told = threading.Condition()
        self._diagnosis = DiagnosticStatus()
        self.states: list[RecordingState] = []
        self.source.create_subscription(
            DiagnosticArray, "/diagnostics", self._on_diagnostics, qos.DIAGNOSTICS
        )
        self.source.create_subscription(RecordingState, "record/state", self._on_state, qos.LATCHED)
        self._threads: list[tuple[SingleThreadedExecutor, threading.Thread]] = []
        self._spin(self.source)
        self.recorder = RecorderNode()
        self._spin(self.recorder)

    def call(self, kind: Any, name: str, request: Any) -> Any:
        client = self.source.create_client(kind, name)
        assert client.wait_for_service(PATIENCE), f"no service {name}"
        done = threading.Event()
        future = client.call_async(request)
        future.add_done_callback(lambda _: done.set())
        assert done.wait(PATIENCE), f"{name} did not answer"
        return future.result()

    def start(self, **fields: Any) -> Any:
        return self.call(StartRecording, "record/start", StartRecording.Request(**fields))

    def stop(self) -> Any:
        return self.call(Trigger, "record/stop", Trigger.Request())

    def diagnosis(self, condition: Callable[[DiagnosticStatus], bool]) -> DiagnosticStatus:
        with self._told:
            assert self._told.wait_for(lambda: condition(self._diagnosis), PATIENCE)
            return self._diagnosis

    def state(self, condition: Callable[[RecordingState], bool]) -> RecordingState:
        """Wait for the newest state to be so."""
        with self._told:
            assert self._told.wait_for(
                lambda: bool(self.states) and condition(self.states[-1]), PATIENCE
            ), self.states[-1:]
            return self.states[-1]

    def close(self) -> None:
        for executor, thread in self._threads:
            executor.shutdown()
            thread.join(PATIENCE)
        self.recorder.destroy_node()
        rclpy.shutdown()
        self.source.destroy_node()
        rclpy.shutdown(context=self.source.context)

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        with self._told:
            for status in message.status:
                if status.name == "recorder: recording":
                    self._diagnosis = status
            self._told.notify_all()

    def _on_state(self, message: RecordingState) -> None:
        with self._told:
            self.states.append(message)
            self._told.notify_all()

    def _spin(self, node: Node) -> None:
        executor = SingleThreadedExecutor(context=node.context)
        executor.add_node(node)
        thread = threading.Thread(target=executor.spin, daemon=True)
        thread.start()
        self._threads.append((executor, thread))


@pytest.fixture
def make_graph(tmp_path: Path) -> Iterator[Callable[..., Graph]]:
    made: list[Graph] = []

    def make(**parameters: Any) -> Graph:
        made.append(Graph(tmp_path, **parameters))
        return made[-1]

    yield make
    for graph in made:
        graph.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Return a folder on a disk of 40 MB; without root there is none."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", str(folder)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("mounting a small disk needs root")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def matched(publisher: Any) -> None:
    """Wait until a subscription has found the publisher."""
    eventually(publisher.get_subscription_count, f"nobody subscribed to {publisher.topic_name}")


def read(folder: str | Path) -> dict[str, list[Any]]:
    """Return the messages of a bag by topic."""
    found: dict[str, list[Any]] = {}
    with AnyReader([Path(folder)]) as reader:
        for connection, _, raw in reader.messages():
            found.setdefault(connection.topic, []).append(
                reader.deserialize(raw, connection.msgtype)
            )
    return found


def features(inference: int) -> FeatureActivations:
    return FeatureActivations(
        site="backbone.1",
        inference=inference,
        index=to_unsigned([1, 5]),
        natural=to_floats([0.5, 2.0]),
        applied=to_floats([0.5, 4.0]),
    )


def test_every_message_between_start_and_stop_is_in_the_bag(make_graph) -> None:
    graph = make_graph()
    publisher = graph.source.create_publisher(FeatureActivations, "policy/features", qos.FEATURES)
    started = graph.start(uri="run")
    assert started.success, started.message
    matched(publisher)
    for inference in range(1, 301):
        publisher.publish(features(inference))
        assert publisher.wait_for_all_acked(rclpy.duration.Duration(seconds=PATIENCE))
    stopped = graph.stop()

    assert stopped.success, stopped.message
    recorded = read(started.uri)
    messages = recorded["/policy/features"]
    assert [message.inference for message in messages] == list(range(1, 301))
    np.testing.assert_array_equal(messages[0].applied, [0.5, 4.0])
    total = sum(len(of_topic) for of_topic in recorded.values())
    assert f"{total} messages" in stopped.message and "0 dropped" in stopped.message


def half_an_inference(graph: Graph) -> tuple[str, Any]:
    """Record the chunk of a second inference without its read-outs; return bag and publisher."""
    chunks = graph.source.create_publisher(ActionChunk, "policy/action_chunk", qos.CHUNK)
    read_outs = graph.source.create_publisher(FeatureActivations, "policy/features", qos.FEATURES)
    started = graph.start(uri="run")
    assert started.success, started.message
    for publisher in (chunks, read_outs):
        matched(publisher)
    read_outs.publish(FeatureActivations(site="backbone.1", chunk_id=1))
    chunks.publish(ActionChunk(chunk_id=2))
    for publisher in (chunks, read_outs):
        assert publisher.wait_for_all_acked(rclpy.duration.Duration(seconds=PATIENCE))
    return started.uri, read_outs


def test_a_bag_is_closed_when_what_its_last_inference_read_out_has_come(
    make_graph, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder_node, "_LONGEST_SETTLE", PATIENCE)
    graph = make_graph()
    bag, read_outs = half_an_inference(graph)
    looks, look = itertools.count(), graph.recorder._take_arrived

    def late() -> int | None:
        if next(looks) == 2:  # it has waited once more by then
            for site in ("backbone.1", "expert.1"):
                read_outs.publish(FeatureActivations(site=site, chunk_id=2))
        return look()

    monkeypatch.setattr(graph.recorder, "_take_arrived", late)
    stopped = graph.stop()
    assert stopped.success, stopped.message
    found = [(one.chunk_id, one.site) for one in read(bag)["/policy/features"]]
    assert found == [(1, "backbone.1"), (2, "backbone.1"), (2, "expert.1")]


def test_a_bag_is_closed_though_what_an_inference_read_out_never_comes(
    make_graph, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder_node, "_LONGEST_SETTLE", 0.5)
    graph = make_graph()
    bag, _ = half_an_inference(graph)
    stopped = graph.stop()
    assert stopped.success, stopped.message
    assert [one.chunk_id for one in read(bag)["/policy/action_chunk"]] == [2]


def test_a_latched_message_from_before_the_start_is_in_the_bag(make_graph) -> None:
    graph = make_graph()
    publisher = graph.source.create_publisher(EpisodeState, "episode", qos.LATCHED)
    publisher.publish(EpisodeState(episode_id="e1"))
    started = graph.start()
    matched(publisher)
    assert publisher.wait_for_all_acked(rclpy.duration.Duration(seconds=PATIENCE))
    graph.stop()

    assert [message.episode_id for message in read(started.uri)["/episode"]] == ["e1"]
    with AnyReader([Path(started.uri)]) as reader:
        offered = next(c for c in reader.connections if c.topic == "/episode").ext
    assert offered.offered_qos_profiles[0].durability.name == "TRANSIENT_LOCAL"


def test_the_state_is_told_at_every_change_and_while_recording(make_graph) -> None:
    graph = make_graph()
    idle = graph.state(lambda state: state.status == RecordingState.IDLE)
    assert idle.uri == "" and idle.elapsed == 0
    started = graph.start(uri="run")
    graph.state(lambda state: state.status == RecordingState.RECORDING and state.elapsed > 0.5)
    graph.stop()
    closed = graph.state(lambda state: state.status == RecordingState.CLOSED)
    assert closed.uri == started.uri
    assert (closed.dropped, closed.detail) == (0, "")
    assert closed.messages > 0 and closed.size > 0
    order = [state.status for state in graph.states]
    assert order == sorted(order), "idle, recording (at least once a second), closed"


def test_the_descriptions_of_all_nodes_are_kept(make_graph) -> None:
    graph = make_graph()
    publishers = []
    for name in ("policy", "bridge"):
        publishers.append(
            graph.source.create_publisher(NodeDescription, "description", qos.DESCRIPTION)
        )
        publishers[-1].publish(NodeDescription(node=name, names=["seed"], values=["7"]))
    started = graph.start()
    for publisher in publishers:
        matched(publisher)
        assert publisher.wait_for_all_acked(rclpy.duration.Duration(seconds=PATIENCE))
    graph.stop()
    told = {
        each.node: dict(zip(each.names, each.values, strict=True))
        for each in read(started.uri)["/description"]
    }
    assert told.keys() == {"policy", "bridge", "/recorder"}
    assert told["/recorder"]["parameter.min_free_disk"] == "0"


def test_pictures_are_recorded_only_when_asked_for(make_graph) -> None:
    graph = make_graph()
    publisher = graph.source.create_publisher(Image, "observation/image/wrist", qos.OBSERVATION)
    picture = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    without = graph.start(uri="without")
    graph.state(lambda state: state.status == RecordingState.RECORDING)
    assert publisher.get_subscription_count() == 0
    graph.stop()
    started = graph.start(uri="with", images=True)
    matched(publisher)
    publisher.publish(to_image(picture, EpisodeState().header))
    assert publisher.wait_for_all_acked(rclpy.duration.Duration(seconds=PATIENCE))
    graph.stop()

    assert "/observation/image/wrist" not in read(without.uri)
    recorded = read(started.uri)["/observation/image/wrist"][0]
    np.testing.assert_array_equal(recorded.data.reshape(4, 6, 3), picture)


def test_the_numbers_of_an_environment_of_its_own_are_recorded(make_graph) -> None:
    graph = make_graph()
    publisher = graph.source.create_publisher(JointState, "observation/state", qos.OBSERVATION)
    started = graph.start()
    matched(publisher)
    publisher.publish(JointState(name=["state_0", "state_1"], position=[0.5, -1.0]))
    assert publisher.wait_for_all_acked(rclpy.duration.Duration(seconds=PATIENCE))
    graph.stop()
    (recorded,) = read(started.uri)["/observation/state"]
    assert (recorded.name, list(recorded.position)) == (["state_0", "state_1"], [0.5, -1.0])


def test_the_command_line_records_compressed_pictures_under_a_name(
    make_graph, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    graph = make_graph()
    publisher = graph.source.create_publisher(Image, "observation/image/wrist", qos.OBSERVATION)
    picture = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    assert cli.main(["record", "start", "--name", "small", "--compressed", "png"]) == 0
    matched(publisher)
    publisher.publish(to_image(picture, EpisodeState().header))
    assert publisher.wait_for_all_acked(rclpy.duration.Duration(seconds=PATIENCE))
    assert cli.main(["record", "stop"]) == 0

    assert "recording into" in capsys.readouterr().out
    recorded = read(tmp_path / "small")
    assert "/observation/image/wrist" not in recorded
    (message,) = recorded["/observation/image/wrist/compressed"]
    np.testing.assert_array_equal(picture_of(message, ""), picture)


def test_a_second_start_is_refused_and_the_first_goes_on(make_graph) -> None:
    graph = make_graph()
    first = graph.start(uri="first")
    second = graph.start(uri="second")
    assert not second.success and first.uri in second.message
    assert graph.stop().success
    assert not (Path(first.uri).parent / "second").exists()


def test_an_existing_folder_and_a_bad_topic_name_are_refused(make_graph, tmp_path: Path) -> None:
    graph = make_graph()
    (tmp_path / "old").mkdir()
    existing = graph.start(uri="old")
    bad_topic = graph.start(uri="new", topics=["not a topic"])
    assert not existing.success and "exists already" in existing.message
    assert not bad_topic.success and "not a topic" in bad_topic.message
    assert not (tmp_path / "new").exists()
    assert not graph.stop().success


def test_a_folder_whose_name_a_terminal_would_obey_is_refused(make_graph, tmp_path: Path) -> None:
    graph = make_graph()
    refused = graph.start(uri="take\r\x1b[2J")
    assert not refused.success and "can be printed" in refused.message
    assert refused.message.isprintable()
    assert not list(tmp_path.rglob("take*"))


def test_a_disk_with_too_little_room_ends_the_recording_with_a_clear_state(make_graph) -> None:
    graph = make_graph(min_free_disk=10**9)  # a petabyte must stay free: no disk has that
    started = graph.start(uri="run")
    assert started.success
    status = graph.diagnosis(lambda status: status.level == DiagnosticStatus.ERROR)
    assert "min_free_disk" in status.message
    state = graph.state(lambda state: state.status == RecordingState.FAILED)
    assert state.uri == started.uri and "min_free_disk" in state.detail
    stopped = graph.stop()
    assert not stopped.success and "min_free_disk" in stopped.message
    assert read(started.uri) == {}


def test_a_full_disk_ends_the_recording_with_a_readable_bag_and_the_node_goes_on(
    make_graph, small_disk: Path
) -> None:
    graph = make_graph(output_folder=small_disk)
    publisher = graph.source.create_publisher(Image, "observation/image/wrist", qos.OBSERVATION)
    picture = np.arange(512 * 512 * 3).astype(np.uint8).reshape(512, 512, 3)
    started = graph.start(uri="full", images=True)
    matched(publisher)
    for _ in range(60):  # 47 MB; the disk has 40
        publisher.publish(to_image(picture, EpisodeState().header))
        assert publisher.wait_for_all_acked(rclpy.duration.Duration(seconds=PATIENCE))
    failed = graph.state(lambda state: state.status == RecordingState.FAILED)
    assert failed.uri == started.uri and "No space left on device" in failed.detail

    pictures = read(started.uri)["/observation/image/wrist"]
    assert 20 <= len(pictures) < 60
    np.testing.assert_array_equal(pictures[-1].data.reshape(picture.shape), picture)
    assert (
        "No space left" in read_metadata(Path(started.uri), Findings()).custom["vla_sae_ros.ended"]
    )
    shutil.rmtree(started.uri)
    assert graph.start(uri="again").success
    assert graph.stop().success


def test_sigint_closes_the_bag(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "vla_sae_ros.nodes.recorder.recorder_node",
            "--ros-args",
            "-p",
            f"output_folder:={tmp_path}",
            "-p",
            "record_on_start:=true",
            "-p",
            "min_free_disk:=0",
        ],
        stderr=subprocess.PIPE,
        text=True,
        env=dict(os.environ),
    )
    assert process.stderr is not None
    try:
        assert any("recording into" in line for line in process.stderr)
        process.send_signal(signal.SIGINT)
        _, rest = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
    assert process.returncode == 0, rest
    (folder,) = tmp_path.iterdir()
    assert (folder / "metadata.yaml").exists()
    read(folder)


@pytest.mark.slow
def test_what_was_flushed_before_a_kill_is_repaired(tmp_path: Path) -> None:
    """Nothing stops the recording: what it has heard comes to the disk all the same."""
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "vla_sae_ros.nodes.recorder.recorder_node",
            "--ros-args",
            "-p",
            f"output_folder:={tmp_path / 'bags'}",
            "-p",
            "record_on_start:=true",
            "-p",
            "min_free_disk:=0",
        ],
        stderr=subprocess.PIPE,
        text=True,
        env=dict(os.environ),
    )
    assert process.stderr is not None
    context = Context()
    rclpy.init(context=context)
    source = Node("source", context=context)
    publisher = source.create_publisher(FeatureActivations, "policy/features", qos.FEATURES)
    looks = itertools.count()

    def repaired() -> list[int]:
        (folder,) = (tmp_path / "bags").iterdir()
        bag = repair(folder, tmp_path / f"repaired_{next(looks)}").output
        return [message.inference for message in read(bag).get("/policy/features", [])]

    try:
        assert any("recording into" in line for line in process.stderr)
        matched(publisher)
        for inference in range(200):  # fewer than a publisher remembers
            publisher.publish(features(inference))
        assert publisher.wait_for_all_acked(rclpy.duration.Duration(seconds=PATIENCE))
        eventually(lambda: len(repaired()) == 200)
        process.kill()
        process.wait(PATIENCE)
    finally:
        process.kill()
        process.stderr.close()
        source.destroy_node()
        rclpy.shutdown(context=context)
    assert repaired() == list(range(200))


def values(status: DiagnosticStatus) -> dict[str, str]:
    return {value.key: value.value for value in status.values}
