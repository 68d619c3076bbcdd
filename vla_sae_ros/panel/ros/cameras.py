"""The cameras that somebody publishes, raw or compressed, and the heatmap."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rclpy.node import Node, NodeNameNonExistentError
from rclpy.subscription import Subscription
from sensor_msgs.msg import CompressedImage, Image

from vla_sae_ros.panel.ros import from_messages
from vla_sae_ros.panel.ros.picture_decoder import PictureDecoder
from vla_sae_ros.panel.state.incoming import HEATMAP, Incoming
from vla_sae_ros.panel.widgets.guard import guarded
from vla_sae_ros.wire import qos

PICTURES = "observation/image/"
POLICY = "policy"
"""Name of the policy's node."""
_IMAGE, _COMPRESSED = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"
_SUFFIX = "/compressed"


@dataclass(frozen=True)
class _Source:
    topic: str
    compressed: bool


class Cameras:
    """Puts the pictures of the cameras that are watched into `incoming.pictures`."""

    def __init__(self, node: Node, incoming: Incoming) -> None:
        """Watch none."""
        self._node, self._incoming = node, incoming
        self._subscriptions: dict[str, Subscription] = {}
        self._sources: dict[str, _Source] = {}
        self._decoder: PictureDecoder | None = None

    def names(self) -> list[str]:
        """Return the names of the cameras, sorted: what is published as observation/image/<name>.

        Pictures that the policy hears on other topics, a lab's own, go by the topic's name.
        """
        prefix = self._node.resolve_topic_name(PICTURES + "x")[:-1]
        topics = {
            topic: kinds
            for topic, kinds in self._node.get_topic_names_and_types()
            if topic.startswith(prefix)
        }
        sources = {}
        for topic, kinds in sorted({**topics, **self._heard_by_policy()}.items()):
            name = topic.removeprefix(prefix).removeprefix("/")
            if _IMAGE in kinds:
                sources[name] = _Source(topic, compressed=False)
            elif _COMPRESSED in kinds and name.endswith(_SUFFIX):
                sources.setdefault(name.removesuffix(_SUFFIX), _Source(topic, compressed=True))
        self._sources = sources
        return sorted(sources)

    def watch(self, camera: str) -> None:
        """Receive the pictures of a camera, or the heatmap (HEATMAP), until `unwatch`."""
        if camera in self._subscriptions:
            return
        source = self._sources.get(camera, _Source(PICTURES + camera, compressed=False))
        if camera == HEATMAP:
            source = _Source("policy/feature_heatmap", compressed=False)
        kind = CompressedImage if source.compressed else Image
        take = self._decoding(camera) if source.compressed else self._taking(camera)
        # Best effort hears reliable publishers, too, and only the newest picture counts.
        self._subscriptions[camera] = self._node.create_subscription(
            kind, source.topic, take, qos.PICTURE
        )

    def unwatch(self, camera: str) -> None:
        """Receive no more pictures of a camera."""
        subscription = self._subscriptions.pop(camera, None)
        if subscription is not None:
            self._node.destroy_subscription(subscription)

    def close(self) -> None:
        """Take everything off the node."""
        for camera in list(self._subscriptions):
            self.unwatch(camera)
        if self._decoder is not None:
            self._decoder.close()

    def _heard_by_policy(self) -> dict[str, list[str]]:
        """Return the published topics of pictures that the policy node subscribes to."""
        try:
            heard = self._node.get_subscriber_names_and_types_by_node(
                POLICY, self._node.get_namespace()
            )
        except NodeNameNonExistentError:
            return {}
        return {
            topic: kinds
            for topic, kinds in heard
            if {_IMAGE, _COMPRESSED} & set(kinds) and self._node.count_publishers(topic)
        }

    def _taking(self, camera: str) -> Callable[[Image], None]:
        @guarded()
        def take(message: Image) -> None:
            self._incoming.pictures.put(camera, from_messages.picture(message))

        return take

    def _decoding(self, camera: str) -> Callable[[CompressedImage], None]:
        decoder = self._decoder = self._decoder or PictureDecoder(self._incoming)

        @guarded()
        def take(message: CompressedImage) -> None:
            decoder.put(camera, message)

        return take
