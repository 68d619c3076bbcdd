"""The fields that readers of a bag rely on, by message type.

Every version of this package has written them; a field that came later is not listed, and whoever
reads it asks for it. A definition that lacks one of these is damaged, or of another package.
"""

from __future__ import annotations

from typing import Any, cast

from rosbags.interfaces import Nodetype
from rosbags.typesys.store import Typestore

_Kind = tuple[Nodetype, Any]

OURS = "vla_sae_ros/msg/"
_STAMP = "header.stamp.sec header.stamp.nanosec"

_TEXTS = frozenset(
    [
        "episode_id",
        "suite",
        "instruction",
        "site",
        "sites",
        "policy_id",
        "bundle_ids",
        "owner",
        "reason",
        "author",
        "text",
        "node",
        "software_version",
        "names",
        "values",
        "name",
        "encoding",
        "format",
        "label",
    ]
)

NEEDED = {
    f"{OURS}EpisodeState": f"{_STAMP} start.sec start.nanosec episode_id suite task instruction "
    "init_state seed step max_steps clock status control_rate missed_deadlines held_ticks "
    "dropped_chunks",
    f"{OURS}ExecutedAction": f"{_STAMP} episode_id step chunk_id steering_revision action[] held",
    f"{OURS}FeatureActivations": f"{_STAMP} episode_id site inference chunk_id steering_revision "
    "observation_step index[] natural[] applied[] fvu residual_norm edit_norm_ratio capped "
    "bypassed inference_ms tap_ms",
    f"{OURS}FeatureCatalogue": "policy_id sites[] bundle_ids[] features[] features[].site "
    "features[].feature features[].label",
    f"{OURS}SteeringState": f"{_STAMP} revision bypass cap slew_limit edits[] edits[].owner "
    "edits[].phase edits[].commanded edits[].applied edits[].weight edits[].lease_remaining "
    "edits[].edit.site edits[].edit.feature edits[].edit.mode edits[].edit.unit "
    "edits[].edit.value",
    f"{OURS}SteeringEvent": f"{_STAMP} kind owner site feature from_value to_value reason",
    f"{OURS}ChunkRequest": "episode_id instruction seed step start.sec start.nanosec",
    f"{OURS}ActionChunk": f"{_STAMP} chunk_id policy_start episode_id observation_step "
    "steering_revision replan horizon action_dim actions[]",
    f"{OURS}Annotation": "episode_id step author text",
    f"{OURS}NodeDescription": "node software_version names[] values[]",
    "geometry_msgs/msg/PoseStamped": f"{_STAMP} pose.position.x pose.position.y pose.position.z "
    "pose.orientation.x pose.orientation.y pose.orientation.z pose.orientation.w",
    "sensor_msgs/msg/JointState": f"{_STAMP} name[] position[]",
    "sensor_msgs/msg/Image": f"{_STAMP} height width encoding step data[]",
    "sensor_msgs/msg/CompressedImage": f"{_STAMP} format data[]",
}
"""Message type -> paths of fields; [] follows a sequence."""


def missing_field(store: Typestore, msgtype: str) -> str | None:
    """Return a field that is needed of a type and that its definition lacks; None without one."""
    for path in NEEDED.get(msgtype, "").split():
        if not _has(store, msgtype, path.split(".")):
            return path
    return None


def _has(store: Typestore, msgtype: str, path: list[str]) -> bool:
    wanted, sequence = path[0].removesuffix("[]"), path[0].endswith("[]")
    for name, (kind, detail) in store.fielddefs[msgtype][1]:
        if name != wanted:
            continue
        if sequence != (kind.name == "SEQUENCE"):
            return False
        inner, inner_detail = cast(_Kind, detail[0] if sequence else (kind, detail))
        if len(path) > 1:
            return inner.name == "NAME" and _has(store, str(inner_detail), path[1:])
        text = inner.name == "BASE" and inner_detail[0] == "string"
        return text == (wanted in _TEXTS)
    return False
