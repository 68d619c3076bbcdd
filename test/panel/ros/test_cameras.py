"""The panel's cameras over real DDS: raw, compressed and broken pictures."""

from __future__ import annotations

import io
import threading
from array import array
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import rclpy
from PIL import Image as Pillow
from rclpy.context import Context
from rclpy.node import Node
from rclpy.publisher import Publisher
from sensor_msgs.msg import CompressedImage, Image

from vla_sae_ros.panel.ros import picture_decoder
from vla_sae_ros.panel.ros.ros_thread import RosThread
from vla_sae_ros.panel.state import values
from vla_sae_ros.wire import qos
from vla_sae_ros.wire.conversions import to_header, to_image

PIXELS = np.random.default_rng(5).integers(0, 256, (9, 16, 3), np.uint8)
RAW = "observation/image/wrist"
WRIST = f"{RAW}/compressed"
BROKEN = b"\xff\xd8\xffthis is no picture"

Picture = CompressedImage | Image


def compressed(form: str, data: bytes | None = None) -> CompressedImage:
    if data is None:
        file = io.BytesIO()
        Pillow.fromarray(PIXELS).save(file, form)
        data = file.getvalue()
    return CompressedImage(
        header=to_header(3_000_000_000),
        format=f"bgr8; {form} compressed bgr8",
        data=array("B", data),
    )


class Cameras:
    """Publishes pictures again and again until something has come of them.

    Whoever hears a camera takes what comes and asks for nothing again, and it may know the
    publisher a moment later than the publisher knows it: the first picture can be lost.
    """

    def __init__(self, ros: RosThread, qtbot: Any) -> None:
        self._ros, self._qtbot = ros, qtbot
        self.context = Context()
        rclpy.init(context=self.context)
        self.node = Node("cameras", context=self.context)
        self.publishers: dict[str, Publisher] = {}
        self.shown: dict[str, values.Picture] = {}

    def offer(self, topic: str, kind: type) -> None:
        if topic not in self.publishers:
            self.publishers[topic] = self.node.create_publisher(kind, topic, qos.OBSERVATION)

    def until(self, condition: Callable[[], object], messages: dict[str, Picture]) -> None:
        """Publish the messages by their topics, watch every camera and look at the pictures."""
        for topic, message in messages.items():
            self.offer(topic, type(message))

        def look() -> bool:
            for camera in self._ros.client.cameras():
                self._ros.client.watch(camera)
            for topic, message in messages.items():
                self.publishers[topic].publish(message)
            self.shown |= self._ros.client.incoming.pictures.take()
            return bool(condition())

        self._qtbot.waitUntil(look)

    def close(self) -> None:
        self.node.destroy_node()
        rclpy.shutdown(context=self.context)


@pytest.fixture
def cameras(ros: RosThread, qtbot) -> Iterator[Cameras]:
    made = Cameras(ros, qtbot)
    yield made
    made.close()


def test_compressed_pictures_are_shown_and_broken_ones_are_counted(ros, cameras) -> None:
    broken = ros.client.incoming.broken_pictures
    cameras.until(lambda: broken, {WRIST: compressed("png", BROKEN)})
    assert cameras.shown == {}
    cameras.until(lambda: cameras.shown, {WRIST: compressed("png")})
    picture = cameras.shown["wrist"]
    assert np.array_equal(picture.pixels, PIXELS)
    assert picture.time == 3.0
    assert list(broken) == ["wrist"]


def test_pictures_are_decoded_on_a_thread_of_their_own(cameras, monkeypatch) -> None:
    threads: set[str] = set()

    class Watched(picture_decoder.CompressedPicture):
        def decoded(self) -> np.ndarray:
            threads.add(threading.current_thread().name)
            return super().decoded()

    monkeypatch.setattr(picture_decoder, "CompressedPicture", Watched)
    cameras.until(lambda: threads, {WRIST: compressed("jpeg")})
    assert threads == {"panel-pictures"}


def test_a_camera_that_sends_both_kinds_is_one_camera_and_heard_raw(ros, cameras) -> None:
    raw = to_image(PIXELS, to_header(0))
    cameras.until(lambda: cameras.shown, {RAW: raw})
    cameras.offer(WRIST, CompressedImage)
    cameras.until(lambda: ros.node.count_publishers(WRIST) == 1, {RAW: raw})
    assert ros.client.cameras() == ["wrist"]
    cameras.shown.clear()
    cameras.until(lambda: cameras.shown, {WRIST: compressed("png", BROKEN), RAW: raw})
    assert np.array_equal(cameras.shown["wrist"].pixels, PIXELS)
    assert not ros.client.incoming.broken_pictures


@pytest.mark.parametrize(
    "topic, message",
    [
        ("/zed/left/image", to_image(PIXELS, to_header(0))),
        ("/zed/left/image/compressed", compressed("png")),
    ],
)
def test_a_labs_own_topic_is_shown_when_the_policy_hears_it(ros, cameras, topic, message) -> None:
    policy = Node("policy", context=cameras.context)
    policy.create_subscription(type(message), topic, lambda heard: None, qos.SENSOR)
    cameras.offer(topic.replace("left", "right"), type(message))
    cameras.until(lambda: cameras.shown, {topic: message})
    assert ros.client.cameras() == ["zed/left/image"]
    assert np.array_equal(cameras.shown["zed/left/image"].pixels, PIXELS)
    policy.destroy_node()
