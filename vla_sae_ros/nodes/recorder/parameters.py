"""The recorder's parameters."""

from __future__ import annotations

from collections.abc import Mapping

from vla_sae_ros.bags.recording import RecordingLimits
from vla_sae_ros.nodes.base.parameters import Parameter, Value

NOT_COMPRESSED = "none"

PARAMETERS = (
    Parameter("output_folder", "bags", "folder in which bags without a full path are made"),
    Parameter("record_on_start", False, "start recording at once, under a dated name"),
    Parameter("record_images", False, "with record_on_start: also record the camera pictures"),
    Parameter(
        "image_compression",
        NOT_COMPRESSED,
        "how camera pictures are kept, from the next recording on: none as they were sent, "
        "png without loss, jpeg smaller and with loss. A bag replays bit-identically with "
        "none and png only. Compressed pictures are on <topic>/compressed",
        choices=(NOT_COMPRESSED, "png", "jpeg"),
        live=True,
    ),
    Parameter(
        "jpeg_quality", 90, "of jpeg, from the next recording on", minimum=1, maximum=100, live=True
    ),
    Parameter(
        "min_free_disk",
        500,
        "a recording stops rather than leave less than this free",
        unit="MB",
        minimum=0,
        maximum=10**9,
    ),
    Parameter(
        "max_queue",
        256,
        "messages waiting for the disk, and as many again waiting for "
        "compression; more are dropped and counted",
        unit="MB",
        minimum=1,
        maximum=10**6,
    ),
)


def limits_of(values: Mapping[str, Value]) -> RecordingLimits:
    """Return the limits among the node's parameters."""
    return RecordingLimits(
        int(values["max_queue"]) * 10**6,  # type: ignore[arg-type]
        int(values["min_free_disk"]) * 10**6,  # type: ignore[arg-type]
    )
