"""The panel's cameras over real DDS: raw, compressed and broken pictures."""

from __future__ import annotations

import io
import threading
from array import array
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import rclpy
from PIL import Image as Pillow
from rclpy.context import Context
from rclpy.node import Node
from sensor_msgs.msg import CompressedImage, Image

from vla_sae_ros.panel.ros import picture_decoder
from vla_sae_ros.panel.ros.ros_thread import RosThread
from vla_sae_ros.wire import qos
from vla_sae_ros.wire.conversions import to_header, to_image

LIMIT_MS = 20_000
PIXELS = np.random.default_rng(5).integers(0, 256, (9, 16, 3), np.uint8)
WRIST = "observation/image/wrist/compressed"


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


@pytest.fixture
def publish(ros: RosThread) -> Iterator[Callable[..., None]]:
    """Return a function that publishes a message, once the panel is known to hear it."""
    context, heard = Context(), threading.Event()
    rclpy.init(context=context)
    node = Node("cameras", context=context)
    publishers = {}

    def send(topic: str, message: CompressedImage | Image, heard_of: bool = True) -> None:
        if topic not in publishers:
            publishers[topic] = node.create_publisher(type(message), topic, qos.OBSERVATION)
        if heard_of:
            camera = topic.removeprefix("observation/image/").removesuffix("/compressed")
            for _ in range(400):
                if camera in ros.client.cameras():
                    ros.client.watch(camera)
                if publishers[topic].get_subscription_count():
                    break
                heard.wait(0.05)
        publishers[topic].publish(message)

    yield send
    node.destroy_node()
    rclpy.shutdown(context=context)


def test_compressed_pictures_are_shown_and_broken_ones_are_counted(qtbot, ros, publish) -> None:
    incoming = ros.client.incoming
    shown: list = []
    publish(WRIST, compressed("png", b"\xff\xd8\xffthis is no picture"))
    qtbot.waitUntil(lambda: incoming.broken_pictures == {"wrist": 1}, timeout=LIMIT_MS)
    assert incoming.pictures.take() == {}
    publish(WRIST, compressed("png"))
    qtbot.waitUntil(
        lambda: bool(shown.append(incoming.pictures.take()) or shown[-1]), timeout=LIMIT_MS
    )
    picture = shown[-1]["wrist"]
    assert np.array_equal(picture.pixels, PIXELS)
    assert picture.time == 3.0
    assert incoming.broken_pictures == {"wrist": 1}


def test_pictures_are_decoded_on_a_thread_of_their_own(qtbot, ros, publish, monkeypatch) -> None:
    threads: list[str] = []

    class Watched(picture_decoder.CompressedPicture):
        def decoded(self) -> np.ndarray:
            threads.append(threading.current_thread().name)
            return super().decoded()

    monkeypatch.setattr(picture_decoder, "CompressedPicture", Watched)
    publish(WRIST, compressed("jpeg"))
    qtbot.waitUntil(lambda: threads == ["panel-pictures"], timeout=LIMIT_MS)


def test_a_camera_that_sends_both_kinds_is_one_camera_and_heard_raw(qtbot, ros, publish) -> None:
    client = ros.client
    publish("observation/image/wrist", to_image(PIXELS, to_header(0)))
    publish(WRIST, compressed("jpeg"), heard_of=False)
    qtbot.waitUntil(lambda: ros.node.count_publishers(WRIST) == 1, timeout=LIMIT_MS)
    assert client.cameras() == ["wrist"]
    shown: list = []
    qtbot.waitUntil(
        lambda: bool(shown.append(client.incoming.pictures.take()) or shown[-1]), timeout=LIMIT_MS
    )
    assert np.array_equal(shown[-1]["wrist"].pixels, PIXELS)


@pytest.mark.parametrize(
    "topic, message",
    [
        ("/zed/left/image", to_image(PIXELS, to_header(0))),
        ("/zed/left/image/compressed", compressed("png")),
    ],
)
def test_a_labs_own_topic_is_shown_when_the_policy_hears_it(qtbot, ros, topic, message) -> None:
    context = Context()
    rclpy.init(context=context)
    policy, camera = (Node(name, context=context) for name in ("policy", "zed"))
    policy.create_subscription(type(message), topic, lambda heard: None, qos.SENSOR)
    publisher = camera.create_publisher(type(message), topic, qos.OBSERVATION)
    camera.create_publisher(type(message), topic.replace("left", "right"), qos.OBSERVATION)
    qtbot.waitUntil(lambda: ros.client.cameras() == ["zed/left/image"], timeout=LIMIT_MS)
    ros.client.watch("zed/left/image")
    qtbot.waitUntil(lambda: publisher.get_subscription_count() == 2, timeout=LIMIT_MS)
    publisher.publish(message)
    shown: list = []
    qtbot.waitUntil(
        lambda: bool(shown.append(ros.client.incoming.pictures.take()) or shown[-1]),
        timeout=LIMIT_MS,
    )
    assert np.array_equal(shown[-1]["zed/left/image"].pixels, PIXELS)
    for node in (policy, camera):
        node.destroy_node()
    rclpy.shutdown(context=context)
