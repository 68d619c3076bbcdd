"""Pictures in a bag: without loss as PNG, close as JPEG, never lost in silence."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from patience import PATIENCE
from rclpy.serialization import serialize_message
from rosbags.highlevel import AnyReader
from std_msgs.msg import Header

from vla_sae_ros.bags.picture_compressor import Compression, PictureCompressor
from vla_sae_ros.bags.pictures import picture_of
from vla_sae_ros.bags.recording import Recording, RecordingLimits
from vla_sae_ros.bags.writer import BagWriter
from vla_sae_ros.wire.conversions import to_image

TOPIC = "/observation/image/wrist"
PICTURE = np.add.outer(np.add.outer(np.arange(40), np.arange(60)), [0, 50, 99]).astype(np.uint8)


def image(encoding: str = "rgb8") -> bytes:
    message = to_image(PICTURE, Header(frame_id="wrist"))
    message.header.stamp.sec = 7
    message.encoding = encoding
    return serialize_message(message)


def record(folder: Path, compression: Compression, *pictures: bytes, room: int = 10**8):
    """Return (status, warnings, [(topic, message)])."""
    recording = Recording(BagWriter(folder, 2 * 2**20), RecordingLimits(min_free_bytes=0))
    warnings: list[str] = []
    compressor = PictureCompressor(recording, compression, room, warnings.append)
    compressor.add_topic(TOPIC, ())
    for number, each in enumerate(pictures):
        compressor.put(TOPIC, number, each)
    compressor.close()
    status = recording.stop()
    with AnyReader([folder]) as reader:
        read = [(c.topic, reader.deserialize(raw, c.msgtype)) for c, _, raw in reader.messages()]
    return status, warnings, read


@pytest.mark.parametrize("encoding", ["rgb8", "bgr8"])
def test_png_keeps_every_bit_and_the_header(tmp_path: Path, encoding: str) -> None:
    _, warnings, ((topic, message),) = record(
        tmp_path / "bag", Compression("png", 90), image(encoding)
    )
    assert topic == TOPIC + "/compressed" and not warnings
    assert (message.header.stamp.sec, message.header.frame_id) == (7, "wrist")
    assert message.format == f"{encoding}; png compressed bgr8"
    expected = PICTURE if encoding == "rgb8" else PICTURE[..., ::-1]
    np.testing.assert_array_equal(picture_of(message, topic), expected)


def test_jpeg_is_smaller_and_close(tmp_path: Path) -> None:
    _, _, ((topic, message),) = record(tmp_path / "bag", Compression("jpeg", 95), image())
    assert len(message.data) < PICTURE.size / 2
    assert np.abs(picture_of(message, topic).astype(int) - PICTURE).max() <= 8


@pytest.mark.parametrize("strange", [image("16UC3"), b"\0\1\0\0", b""])
def test_what_cannot_be_compressed_is_kept_as_it_is_and_said_once(
    tmp_path: Path, strange: bytes
) -> None:
    folder = tmp_path / "bag"
    recording = Recording(BagWriter(folder, 2 * 2**20), RecordingLimits(min_free_bytes=0))
    warnings: list[str] = []
    compressor = PictureCompressor(recording, Compression("png", 90), 10**8, warnings.append)
    compressor.add_topic(TOPIC, ())
    for number in range(2):
        compressor.put(TOPIC, number, strange)
    compressor.close()
    assert recording.stop().messages == 2
    assert len(warnings) == 1 and TOPIC in warnings[0]
    with AnyReader([folder]) as reader:
        assert [(c.topic, raw) for c, _, raw in reader.messages()] == [(TOPIC, strange)] * 2


def test_pictures_beyond_the_room_for_waiting_ones_are_dropped_and_counted(tmp_path: Path) -> None:
    status, _, read = record(
        tmp_path / "bag", Compression("png", 90), *[image()] * 3, room=len(image()) - 1
    )
    assert (read, status.dropped) == ([], {TOPIC: 3})


def test_whoever_hands_over_a_picture_does_not_wait_for_the_encoder(tmp_path: Path) -> None:
    begun, go_on = threading.Event(), threading.Event()
    recording = Recording(BagWriter(tmp_path / "bag", 2 * 2**20), RecordingLimits(min_free_bytes=0))

    def block(_: str) -> None:
        begun.set()
        assert go_on.wait(PATIENCE)

    compressor = PictureCompressor(recording, Compression("png", 90), 10**8, block)
    compressor.add_topic(TOPIC, ())
    compressor.put(TOPIC, 0, b"no picture")
    assert begun.wait(PATIENCE), "the worker is in the warning"
    compressor.put(TOPIC, 1, image())  # returns
    go_on.set()
    compressor.close()
    assert recording.stop().messages == 2
