"""Pictures of a bag as arrays, whether recorded as they were sent or compressed."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image

from vla_sae_ros.bags.episode_trace import Picture
from vla_sae_ros.core.errors import RecordingError, complaint

PICTURES = "observation/image/"
HEATMAP = "policy/feature_heatmap"
COMPRESSED = "/compressed"
"""What a compressed picture's topic has after the picture's own."""

RAW_TYPE, COMPRESSED_TYPE = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"
_THREE_CHANNELS = ("rgb8", "bgr8")


def camera_of(topic: str, msgtype: str, namespace: str) -> str:
    """Return the camera of a system that a topic shows; empty when it shows none."""
    prefix = f"{namespace}/{PICTURES}"
    if not topic.startswith(prefix) or msgtype not in (RAW_TYPE, COMPRESSED_TYPE):
        return ""
    name = topic.removeprefix(prefix)
    return name.removesuffix(COMPRESSED) if msgtype == COMPRESSED_TYPE else name


def picture_of(message: Any, topic: str) -> Picture:
    """Return an Image or CompressedImage message as (H, W, 3) RGB.

    Raises RecordingError when it is of an encoding that is not known here or cannot be decoded.
    """
    return _decoded(message, topic) if hasattr(message, "format") else _raw(message, topic)


def _raw(message: Any, topic: str) -> Picture:
    if message.encoding not in _THREE_CHANNELS:
        raise RecordingError(
            complaint(f"pictures on {topic}", message.encoding, " or ".join(_THREE_CHANNELS))
        )
    if message.step < 3 * message.width or message.height * message.step != len(message.data):
        raise RecordingError(
            complaint(
                f"a picture on {topic}",
                f"{len(message.data)} bytes",
                f"{message.height} rows of {message.step} bytes with {message.width} pixels each",
            )
        )
    rows = message.data.reshape(message.height, message.step)[:, : 3 * message.width]
    picture: Picture = rows.reshape(message.height, message.width, 3)
    return picture[..., ::-1] if message.encoding == "bgr8" else picture


def _decoded(message: Any, topic: str) -> Picture:
    try:
        with Image.open(io.BytesIO(message.data.tobytes())) as image:
            return np.asarray(image.convert("RGB"))
    except Exception as error:  # whatever a decoder meets in damaged bytes
        raise RecordingError(
            complaint(
                f"a compressed picture on {topic}",
                message.format,
                "JPEG or PNG",
                f"Decoder error: {error}.",
            )
        ) from error
