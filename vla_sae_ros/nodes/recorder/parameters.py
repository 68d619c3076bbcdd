"""The recorder's parameters."""

from __future__ import annotations

from dataclasses import dataclass

from vla_sae_ros.bags.recording import RecordingLimits
from vla_sae_ros.core.parameters import parameter

NOT_COMPRESSED = "none"


@dataclass(frozen=True)
class RecorderParameters:
    """The recorder's."""

    output_folder: str = parameter("bags", "folder below which bags are made")
    any_folder: bool = parameter(
        False, "record/start may name a folder outside output_folder: whoever may call it may write"
    )
    record_on_start: bool = parameter(False, "start recording at once, under a dated name")
    record_images: bool = parameter(False, "with record_on_start: also record the camera pictures")
    image_compression: str = parameter(
        NOT_COMPRESSED,
        "how camera pictures are kept, from the next recording on: none as they were sent, "
        "png without loss, jpeg smaller and with loss. A bag replays bit-identically with "
        "none and png only. Compressed pictures are on <topic>/compressed",
        choices=(NOT_COMPRESSED, "png", "jpeg"),
        live=True,
    )
    jpeg_quality: int = parameter(
        90, "of jpeg, from the next recording on", minimum=1, maximum=100, live=True
    )
    min_free_disk: int = parameter(
        500,
        "a recording stops rather than leave less than this free",
        unit="MB",
        minimum=0,
        maximum=10**9,
    )
    max_queue: int = parameter(
        256,
        "messages waiting for the disk, and as many again waiting for "
        "compression; more are dropped and counted",
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
