"""Who else publishes where an arm takes its commands."""

from __future__ import annotations

from rclpy.node import Node

UNKNOWN = "_UNKNOWN_"


def other_publishers(node: Node, topic: str) -> tuple[str, ...]:
    """Return in words the other nodes that publish on a topic, whatever their namespace.

    Args:
        topic: its full name.
    """
    own = (node.get_name(), node.get_namespace())
    infos = node.get_publishers_info_by_topic(topic)
    others = [each for each in infos if (each.node_name, each.node_namespace) != own]
    if len(infos) - len(others) > 1:
        others.append(infos[0])  # a second node of our own name
    return tuple(
        f"{_name(each.node_namespace, each.node_name)} publishes on {topic}" for each in others
    )


def _name(namespace: str, name: str) -> str:
    """Return a node's full name; discovery tells of its publishers before it tells that."""
    if UNKNOWN in name:
        return "a node whose name is not known yet"
    return f"{namespace.rstrip('/')}/{name}"
