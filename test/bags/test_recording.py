"""The writer thread: order, conservation, drops that are counted, and ends that are clear."""

from __future__ import annotations

import threading
from pathlib import Path

from patience import PATIENCE
from rosbags.highlevel import AnyReader
from rosbags.typesys import Stores, get_typestore

from vla_sae_ros.bags.recording import Recording, RecordingLimits, RecordingPhase
from vla_sae_ros.bags.storage.findings import Findings
from vla_sae_ros.bags.storage.metadata import read_metadata
from vla_sae_ros.bags.writer import BagWriter
from vla_sae_ros.resources import software_version

TYPES = get_typestore(Stores.ROS2_JAZZY)
DATA = bytes(
    TYPES.serialize_cdr(TYPES.types["std_msgs/msg/String"]("x" * 1000), "std_msgs/msg/String")
)


def recording(folder: Path, limits: RecordingLimits | None = None, **fakes: object) -> Recording:
    made = Recording(
        BagWriter(folder, 2 * 2**20), limits or RecordingLimits(min_free_bytes=0), **fakes
    )  # type: ignore[arg-type]
    made.add_topic("/a", "std_msgs/msg/String")
    return made


def stamps(folder: Path) -> list[int]:
    with AnyReader([folder]) as reader:
        return [stamp for _, stamp, _ in reader.messages()]


def noted(folder: Path) -> dict[str, str]:
    return dict(read_metadata(folder, Findings()).custom)


class FakeFailingWriter(BagWriter):
    """Fails like a full disk at the third message."""

    def write(self, topic: str, received_ns: int, data: bytes) -> None:
        super().write(topic, received_ns, data)
        if self.message_count == 3:
            raise OSError(28, "No space left on device")


class FakeBlockedWriter(BagWriter):
    """Does not take a message before `gate` opens: a disk that hangs."""

    gate: threading.Event

    def write(self, topic: str, received_ns: int, data: bytes) -> None:
        assert self.gate.wait(PATIENCE)
        super().write(topic, received_ns, data)


def test_every_message_put_from_two_threads_is_in_the_bag(tmp_path: Path) -> None:
    made = recording(tmp_path / "bag")
    made.add_topic("/b", "std_msgs/msg/String")

    def feed(topic: str) -> None:
        for stamp in range(500):
            assert made.put(topic, stamp, DATA)

    threads = [threading.Thread(target=feed, args=(topic,)) for topic in ("/a", "/b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    status = made.stop()

    assert (status.phase, status.messages, status.dropped_total) == (RecordingPhase.CLOSED, 1000, 0)
    assert len(stamps(tmp_path / "bag")) == 1000
    assert noted(tmp_path / "bag") == {
        "vla_sae_ros.software_version": software_version(),
        "vla_sae_ros.dropped": "0",
        "vla_sae_ros.ended": "stopped on request",
    }


def test_a_full_queue_drops_and_counts_so_that_the_sum_is_right(tmp_path: Path) -> None:
    writer = FakeBlockedWriter(tmp_path / "bag", 2 * 2**20)
    writer.gate = threading.Event()
    made = Recording(writer, RecordingLimits(max_queued_bytes=10 * len(DATA), min_free_bytes=0))
    made.add_topic("/a", "std_msgs/msg/String")
    taken = sum(made.put("/a", stamp, DATA) for stamp in range(100))
    writer.gate.set()
    status = made.stop()

    assert 10 <= taken < 100
    assert status.messages == taken
    assert noted(tmp_path / "bag")["vla_sae_ros.dropped"] == f"/a: {100 - taken}"
    assert status.dropped == {"/a": 100 - taken}


def test_a_disk_below_its_free_limit_stops_the_recording_and_says_so(tmp_path: Path) -> None:
    limits = RecordingLimits(min_free_bytes=500, flush_period=0.01)
    free = iter([1000])
    low = threading.Event()

    def free_bytes(folder: Path) -> int:
        remaining = next(free, 499)
        if remaining < 500:
            low.set()
        return remaining

    made = recording(tmp_path / "bag", limits, free_bytes=free_bytes)
    assert made.put("/a", 1, DATA)
    assert low.wait(PATIENCE)
    made._thread.join(PATIENCE)

    status = made.status()
    assert status.phase is RecordingPhase.FAILED
    assert "min_free_disk" in status.reason
    assert stamps(tmp_path / "bag") == [1]
    assert not made.put("/a", 2, DATA)
    assert made.status().dropped == {"/a": 1}


def test_a_write_error_closes_a_readable_bag_and_counts_what_was_waiting(tmp_path: Path) -> None:
    made = Recording(
        FakeFailingWriter(tmp_path / "bag", 2 * 2**20), RecordingLimits(min_free_bytes=0)
    )
    made.add_topic("/a", "std_msgs/msg/String")
    for stamp in range(10):
        made.put("/a", stamp, DATA)
    status = made.stop()

    assert status.phase is RecordingPhase.FAILED
    assert "No space left" in status.reason
    assert stamps(tmp_path / "bag") == [0, 1, 2]
    assert "No space left" in noted(tmp_path / "bag")["vla_sae_ros.ended"]
    assert status.messages + status.dropped_total == 10


def test_stopping_twice_is_harmless(tmp_path: Path) -> None:
    made = recording(tmp_path / "bag")
    assert made.stop().phase is RecordingPhase.CLOSED
    assert made.stop().phase is RecordingPhase.CLOSED
