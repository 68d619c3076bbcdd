"""What a system's policy was trained on and what its simulation draws, as they say themselves."""

from __future__ import annotations

from typing import Literal

from rclpy.node import Node

from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.core.picture_record import ALLOWED, PictureRecord, check_pictures
from vla_sae_ros.msg import NodeDescription
from vla_sae_ros.wire import qos

Party = Literal["trained on", "drawn"]


def picture_facts(party: Party, record: PictureRecord | None) -> dict[str, object]:
    """Return what the description of a policy ("trained on") or a bridge ("drawn") says."""
    if record is None:
        return {}
    return {
        f"pictures {party}: render quality": record.render_quality,
        f"pictures {party}: mujoco": record.mujoco,
    }


class ToldPictures:
    """Compares one node's record with that of the other party, once that has described itself.

    Args:
        node: hears the descriptions of its namespace.
        party: which of the two this node is.
        record: of this node; None where it does not know, and nothing is ever refused.
        allowed: pictures of another quality are warned of, not refused.
    """

    def __init__(
        self, node: Node, party: Party, record: PictureRecord | None, allowed: bool
    ) -> None:
        self._node, self._party, self._record, self._allowed = node, party, record, allowed
        self._other: PictureRecord | None = None
        self._warned = ""
        self._subscription = node.create_subscription(
            NodeDescription, "description", self._described, qos.DESCRIPTION
        )

    def destroy(self) -> None:
        """Take the subscription off the node."""
        self._node.destroy_subscription(self._subscription)

    def check(self) -> None:
        """Raise ConfigurationError for pictures of another quality than the policy's own."""
        if self._record is None or self._other is None:
            return
        trained, drawn = self._record, self._other
        if self._party == "drawn":
            trained, drawn = drawn, trained
        warning = check_pictures(
            trained,
            drawn,
            self._allowed,
            f"Set the simulation's parameter `render_quality` to {trained.render_quality}, or "
            f"`{ALLOWED}` of bridge and policy to true.",
        )
        if warning and warning != self._warned:
            self._warned = warning
            self._node.get_logger().warning(warning)

    def _described(self, message: NodeDescription) -> None:
        told = dict(zip(message.names, message.values, strict=False))
        other: Party = "drawn" if self._party == "trained on" else "trained on"
        quality, version = (told.get(name) for name in _FACTS[other])
        if quality is None or version is None:
            return
        self._other = PictureRecord(quality, version)
        try:
            self.check()  # said once, early; whoever shows or reads pictures asks again
        except ConfigurationError as refusal:
            self._node.get_logger().error(str(refusal))


_FACTS: dict[Party, tuple[str, ...]] = {
    party: tuple(picture_facts(party, PictureRecord("", ""))) for party in ("trained on", "drawn")
}
