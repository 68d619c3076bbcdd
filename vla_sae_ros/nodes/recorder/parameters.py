"""The recorder's parameters."""

from __future__ import annotations

from dataclasses import dataclass

from vla_sae_ros.bags.recording import RecordingLimits
from vla_sae_ros.core.parameters import parameter

NOT_COMPRESSED = "none"


@dataclass(frozen=True)
class RecorderParameters:
    """The recorder's."""

    output_folder: str = parameter("bags", "parent folder of the bags")
    any_folder: bool = parameter(
        False,
        "allow record/start to name a folder outside output_folder; everyone "
        "who may call it can then write there",
    )
    record_on_start: bool = parameter(False, "start recording at once, under a dated name")
    record_images: bool = parameter(False, "with record_on_start: also record the camera pictures")
    image_compression: str = parameter(
        NOT_COMPRESSED,
        "compression of recorded camera pictures, from the next recording on: "
        "none = as sent, png = lossless, jpeg = smaller and lossy. Only none "
        "and png replay bit-identically. Compressed pictures are on "
        "<topic>/compressed",
        choices=(NOT_COMPRESSED, "png", "jpeg"),
        live=True,
    )
    jpeg_quality: int = parameter(
        90, "JPEG quality, from the next recording on", minimum=1, maximum=100, live=True
    )
    min_free_disk: int = parameter(
        500,
        "free disk space below which a recording stops",
        unit="MB",
        minimum=0,
        maximum=10**9,
    )
    max_queue: int = parameter(
        256,
        "size of the queue of messages for the disk, and of another one for "
        "compression; further messages are dropped and counted",
        unit="MB",
        minimum=1,
        maximum=10**6,
    )


def limits_of(values: RecorderParameters) -> RecordingLimits:
    """Return the limits among the node's parameters."""
    return RecordingLimits(
        values.max_queue * 10**6,
        values.min_free_disk * 10**6,
    )
