"""What a node is and how it was set, latched on `description`, so that a bag explains itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import yaml
from rclpy.node import Node
from rclpy.parameter import Parameter

from vla_sae_ros.msg import NodeDescription
from vla_sae_ros.resources import software_version
from vla_sae_ros.wire import qos
from vla_sae_ros.wire.conversions import to_header


class DescriptionPublisher:
    """Publishes a node's `NodeDescription` now and whenever one of its parameters changes.

    Args:
        node: with all its parameters declared.
        facts: what else is to be known, e.g. {"policy_id": ...}; stated before the parameters.
    """

    def __init__(self, node: Node, facts: Mapping[str, object]) -> None:
        self._node, self._facts = node, dict(facts)
        self._publisher = node.create_publisher(NodeDescription, "description", qos.DESCRIPTION)
        node.add_post_set_parameters_callback(self._changed)
        self.publish()

    def destroy(self) -> None:
        """Take the topic off the node."""
        self._node.remove_post_set_parameters_callback(self._changed)
        self._node.destroy_publisher(self._publisher)

    def publish(self) -> None:
        """Publish the description as it is now."""
        self._publisher.publish(describe(self._node, self._facts))

    def _changed(self, _parameters: Sequence[Parameter]) -> None:
        self.publish()


def describe(node: Node, facts: Mapping[str, object]) -> NodeDescription:
    """Return the description of a node: the facts, then every parameter as "parameter.<name>"."""
    names = sorted(node.get_parameters_by_prefix(""))
    parameters = [(name, node.get_parameter(name).value) for name in names]
    told = dict(facts) | {f"parameter.{name}": given for name, given in parameters}
    return NodeDescription(
        header=to_header(node.get_clock().now().nanoseconds),
        node=node.get_fully_qualified_name(),
        software_version=software_version(),
        names=list(told),
        values=[_as_text(value) for value in told.values()],
    )


def _as_text(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, Iterable):  # a list of texts, or rclpy's arrays
        value = list(value)
    text = yaml.safe_dump(value, default_flow_style=True, width=10**6)
    return text.removesuffix("\n...\n").strip()  # a plain scalar ends with the document's end mark
