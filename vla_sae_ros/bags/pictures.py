"""Pictures of a bag as arrays, whether recorded as they were sent or compressed."""

from __future__ import annotations

from typing import Any

from vla_sae_ros.bags.episode_trace import Picture
from vla_sae_ros.core.contract.messages import read_image
from vla_sae_ros.core.contract.pictures import CompressedPicture
from vla_sae_ros.core.errors import ObservationError, RecordingError

PICTURES = "observation/image/"
HEATMAP = "policy/feature_heatmap"
COMPRESSED = "/compressed"
"""What a compressed picture's topic has after the picture's own."""

RAW_TYPE, COMPRESSED_TYPE = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"


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
    try:
        if hasattr(message, "format"):
            return CompressedPicture(message.data.tobytes(), message.format, topic).decoded()
        return read_image(message, topic)
    except ObservationError as error:
        raise RecordingError(str(error)) from error
