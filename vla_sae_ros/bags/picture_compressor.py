"""Compresses recorded pictures on a thread of its own, so that nothing else waits for it."""

from __future__ import annotations

import io
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from PIL import Image
from rosbags.interfaces import Qos
from rosbags.typesys import Stores, get_typestore
from rosbags.typesys.store import Typestore

from vla_sae_ros.bags.pictures import (
    COMPRESSED,
    COMPRESSED_TYPE,
    RAW_TYPE,
    picture_of,
)
from vla_sae_ros.bags.recording import Recording

_FAST_PNG = 1  # zlib's level: five times faster than the default, a tenth larger


@dataclass(frozen=True)
class Compression:
    """How pictures are compressed."""

    format: str  # "png", without loss, or "jpeg"
    quality: int  # 1 to 100, of jpeg


@dataclass(frozen=True)
class _Waiting:
    topic: str
    received_ns: int
    data: bytes


class PictureCompressor:
    """Stands between subscriptions and a recording for topics of type sensor_msgs/msg/Image.

    A picture on <topic> goes into the bag as CompressedImage on <topic>/compressed. One of an
    encoding that cannot be compressed goes there as it is, which `warn` is told once per topic.
    """

    def __init__(
        self,
        recording: Recording,
        compression: Compression,
        max_waiting_bytes: int,
        warn: Callable[[str], object],
    ) -> None:
        """Start the worker; more than `max_waiting_bytes` [B] of pictures are dropped, counted."""
        self._recording, self._compression, self._warn = recording, compression, warn
        self._room = max_waiting_bytes
        self._condition = threading.Condition()
        self._queue: deque[_Waiting] = deque()
        self._offered: dict[str, Sequence[Qos]] = {}
        self._refused: set[str] = set()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="compressor", daemon=True)
        self._thread.start()

    def add_topic(self, topic: str, offered: Sequence[Qos]) -> None:
        """Announce a topic before its first picture."""
        self._offered[topic] = offered

    def put(self, topic: str, received_ns: int, data: bytes) -> None:
        """Take one serialized Image."""
        with self._condition:
            if len(data) > self._room:
                self._recording.drop(topic)
                return
            self._room -= len(data)
            self._queue.append(_Waiting(topic, received_ns, data))
            self._condition.notify()

    def close(self) -> None:
        """Compress what waits, then end the worker."""
        with self._condition:
            self._closing = True
            self._condition.notify()
        self._thread.join()

    def _run(self) -> None:
        while (waiting := self._next()) is not None:
            self._pass_on(waiting)
            with self._condition:
                self._room += len(waiting.data)

    def _next(self) -> _Waiting | None:
        with self._condition:
            self._condition.wait_for(lambda: self._queue or self._closing)
            return self._queue.popleft() if self._queue else None

    def _pass_on(self, waiting: _Waiting) -> None:
        topic, msgtype, data = waiting.topic, RAW_TYPE, waiting.data
        try:
            data = compressed(data, topic, self._compression)
            topic, msgtype = topic + COMPRESSED, COMPRESSED_TYPE
        except Exception as error:  # a picture like no other must not end the worker
            if topic not in self._refused:
                self._refused.add(topic)
                self._warn(f"{topic} is recorded without compression: {error}")
        self._recording.add_topic(topic, msgtype, self._offered[waiting.topic])
        self._recording.put(topic, waiting.received_ns, data)


def compressed(data: bytes, topic: str, compression: Compression) -> bytes:
    """Return a serialized Image as serialized CompressedImage with the same header.

    `format` is as image_transport's plugin writes it, "rgb8; png compressed bgr8"; there are three
    channels in any case. Raises RecordingError for an encoding that `picture_of` does not know.
    """
    types = _types()
    message: Any = types.deserialize_cdr(data, RAW_TYPE)
    buffer = io.BytesIO()
    picture = Image.fromarray(np.ascontiguousarray(picture_of(message, topic)))
    if compression.format == "png":
        picture.save(buffer, "png", compress_level=_FAST_PNG)
    else:
        picture.save(buffer, "jpeg", quality=compression.quality, subsampling=0)
    answer = types.types[COMPRESSED_TYPE](
        header=message.header,
        format=f"{message.encoding}; {compression.format} compressed bgr8",
        data=np.frombuffer(buffer.getbuffer(), np.uint8),
    )
    return bytes(types.serialize_cdr(answer, COMPRESSED_TYPE))


@cache
def _types() -> Typestore:
    return get_typestore(Stores.ROS2_JAZZY)
