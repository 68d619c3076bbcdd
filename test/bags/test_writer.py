"""Bags are complete, explain themselves and survive a full disk."""

from __future__ import annotations

import errno
import io
from pathlib import Path

import mcap.reader
import mcap_ros2.decoder
import numpy as np
import pytest
from rosbags.highlevel import AnyReader
from rosbags.typesys import Stores, get_typestore

from vla_sae_ros.bags.message_definitions import definition_of
from vla_sae_ros.bags.writer import BagWriter
from vla_sae_ros.core.errors import RecordingError

SMALL_RESERVE = 2 * 2**20
TYPES = get_typestore(Stores.ROS2_JAZZY)


def text(data: str) -> bytes:
    message = TYPES.types["std_msgs/msg/String"](data)
    return bytes(TYPES.serialize_cdr(message, "std_msgs/msg/String"))


def joints(name: str, position: float) -> bytes:
    header = TYPES.types["std_msgs/msg/Header"](
        TYPES.types["builtin_interfaces/msg/Time"](0, 0), ""
    )
    none = np.zeros(0)
    message = TYPES.types["sensor_msgs/msg/JointState"](
        header, [name], np.array([position]), none, none
    )
    return bytes(TYPES.serialize_cdr(message, "sensor_msgs/msg/JointState"))


def read_texts(folder: Path) -> list[tuple[int, str]]:
    with AnyReader([folder]) as reader:
        return [
            (stamp, reader.deserialize(raw, connection.msgtype).data)
            for connection, stamp, raw in reader.messages()
        ]


class FakeFullDisk(io.BufferedRandom):
    """A file on a disk that takes `room` bytes, and any amount once `mended`."""

    def __init__(self, path: Path, room: int) -> None:
        super().__init__(io.FileIO(path, "r+"))
        self.seek(0, io.SEEK_END)
        self.room = room
        self.mended = False

    def write(self, data: bytes) -> int:
        if not self.mended and len(data) > self.room:
            super().write(data[: self.room])
            raise OSError(errno.ENOSPC, "No space left on device")
        self.room -= len(data)
        return super().write(data)


def fill_the_disk(writer: BagWriter, room: int) -> FakeFullDisk:
    storage = writer._storage
    storage.bio.flush()
    storage.bio = FakeFullDisk(storage.path, room)
    return storage.bio


def test_what_was_written_is_read_back_by_rosbags_and_mcap(tmp_path: Path) -> None:
    writer = BagWriter(tmp_path / "bag", SMALL_RESERVE)
    writer.add_topic("/a", "std_msgs/msg/String")
    writer.add_topic("/joints", "sensor_msgs/msg/JointState")
    writer.write("/a", 10, text("one"))
    writer.write("/joints", 20, joints("j", 0.5))
    writer.close()

    with AnyReader([tmp_path / "bag"]) as reader:
        messages = [
            (c.topic, t, reader.deserialize(raw, c.msgtype)) for c, t, raw in reader.messages()
        ]
    assert [(topic, stamp) for topic, stamp, _ in messages] == [("/a", 10), ("/joints", 20)]
    assert messages[1][2].position[0] == 0.5
    with (tmp_path / "bag" / "bag.mcap").open("rb") as file:
        reader2 = mcap.reader.make_reader(
            file, decoder_factories=[mcap_ros2.decoder.DecoderFactory()]
        )
        decoded = [message for _, _, _, message in reader2.iter_decoded_messages()]
    assert decoded[0].data == "one" and list(decoded[1].position) == [0.5]


def test_the_embedded_definition_keeps_the_comments_and_the_dependencies() -> None:
    definition = definition_of("sensor_msgs/msg/JointState")
    assert "rad or m" in definition.text
    assert "MSG: std_msgs/Header" in definition.text
    assert "MSG: builtin_interfaces/Time" in definition.text
    assert definition.rihs01.startswith("RIHS01_")


@pytest.mark.parametrize(
    "msgtype", ["std_msgs/msg/Nothing", "no_such_pkg/msg/A", "std_srvs/srv/Trigger"]
)
def test_an_unknown_type_is_refused_by_name(msgtype: str) -> None:
    with pytest.raises(RecordingError, match=msgtype):
        definition_of(msgtype)


def test_an_existing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="exists already"):
        BagWriter(tmp_path)


def test_a_folder_that_cannot_be_made_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RecordingError, match="cannot write a bag"):
        BagWriter(tmp_path / "file" / "bag")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_reserve_that_finds_no_room_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="cannot write a bag"):
        BagWriter(tmp_path / "bag", reserve_bytes=2**60)
    assert list(tmp_path.iterdir()) == []


def test_a_bag_without_messages_can_be_opened(tmp_path: Path) -> None:
    writer = BagWriter(tmp_path / "bag", SMALL_RESERVE)
    writer.add_topic("/a", "std_msgs/msg/String")
    writer.close()
    assert read_texts(tmp_path / "bag") == []


def test_after_a_full_disk_everything_accepted_so_far_is_in_a_readable_bag(tmp_path: Path) -> None:
    writer = BagWriter(tmp_path / "bag", SMALL_RESERVE)
    writer.add_topic("/a", "std_msgs/msg/String")
    disk = fill_the_disk(writer, room=3 * 2**20 + 1234)
    written = 0
    with pytest.raises(OSError, match="No space left"):
        while True:
            written += 1
            writer.write("/a", written, text(f"{written:>100000}"))
    disk.mended = True  # what giving back the reserve does on a real disk
    writer.close()

    texts = read_texts(tmp_path / "bag")
    assert [int(data) for _, data in texts] == list(range(1, written + 1))
    assert writer.message_count == written
    with AnyReader([tmp_path / "bag"]) as reader:
        assert reader.message_count == written
    assert not (tmp_path / "bag" / ".reserve").exists()


def test_after_a_flush_a_killed_process_has_lost_nothing(tmp_path: Path) -> None:
    writer = BagWriter(tmp_path / "bag", SMALL_RESERVE)
    writer.add_topic("/a", "std_msgs/msg/String")
    writer.write("/a", 1, text("kept"))
    writer.flush()
    content = (tmp_path / "bag" / "bag.mcap").read_bytes()  # as a kill would leave it
    writer.close()

    reader = mcap.reader.NonSeekingReader(
        io.BytesIO(content), decoder_factories=[mcap_ros2.decoder.DecoderFactory()]
    )
    kept = []
    with pytest.raises(mcap.exceptions.EndOfFile):
        for _, _, _, message in reader.iter_decoded_messages(log_time_order=False):
            kept.append(message.data)
    assert kept == ["kept"]
