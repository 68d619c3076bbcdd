"""Which system a bag is about: the namespace that the topics of the wire contract stand in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from rosbags.interfaces import Connection

from vla_sae_ros.bags.storage.needed_fields import OURS

WIRE_TYPES = {
    "episode": f"{OURS}EpisodeState",
    "executed_action": f"{OURS}ExecutedAction",
    "policy/request": f"{OURS}ChunkRequest",
    "policy/action_chunk": f"{OURS}ActionChunk",
    "policy/features": f"{OURS}FeatureActivations",
    "policy/catalogue": f"{OURS}FeatureCatalogue",
    "steering/state": f"{OURS}SteeringState",
    "steering/events": f"{OURS}SteeringEvent",
    "annotation": f"{OURS}Annotation",
    "description": f"{OURS}NodeDescription",
    "ee_pose": "geometry_msgs/msg/PoseStamped",
    "gripper": "sensor_msgs/msg/JointState",
    "joint_states": "sensor_msgs/msg/JointState",
}
"""Relative topic -> type, of those that are read out of a bag."""


def namespaces(connections: Iterable[Connection]) -> list[str]:
    """Return the namespaces of the systems in a bag, e.g. "" or "/left", the fullest first.

    A system is known by the topics of this package's own types; without any, by the shortest
    namespace that has a pose or joints.
    """
    messages: Counter[str] = Counter()
    others: set[str] = set()
    for each in connections:
        for name, msgtype in WIRE_TYPES.items():
            if each.msgtype != msgtype or not each.topic.endswith(f"/{name}"):
                continue
            namespace = each.topic.removesuffix(f"/{name}")
            if msgtype.startswith(OURS):
                messages[namespace] += each.msgcount
            else:
                others.add(namespace)
    found = sorted(messages, key=lambda each: (-messages[each], each))
    return found or sorted(others, key=lambda each: (len(each), each))[:1] or [""]


def full_name(namespace: str, name: str) -> str:
    """Return a topic's full name; one that begins with / is that already."""
    return name if name.startswith("/") else f"{namespace}/{name}"
