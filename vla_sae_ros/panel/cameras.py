"""The cameras that somebody publishes, raw or compressed, and the heatmap."""

from __future__ import annotations

from collections.abc import Callable

from rclpy.node import Node
from rclpy.subscription import Subscription
from sensor_msgs.msg import CompressedImage, Image

from vla_sae_ros.nodes import qos
from vla_sae_ros.panel import from_messages
from vla_sae_ros.panel.guard import guarded
from vla_sae_ros.panel.incoming import HEATMAP, Incoming
from vla_sae_ros.panel.picture_decoder import PictureDecoder

PICTURES = "observation/image/"
_IMAGE, _COMPRESSED = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"
_SUFFIX = "/compressed"


class Cameras:
    """Puts the pictures of the cameras that are watched into `incoming.pictures`."""

    def __init__(self, node: Node, incoming: Incoming) -> None:
        """Watch none."""
        self._node, self._incoming = node, incoming
        self._subscriptions: dict[str, Subscription] = {}
        self._compressed: set[str] = set()
        self._decoder: PictureDecoder | None = None

    def names(self) -> list[str]:
        """Return the names of the cameras that somebody publishes, sorted."""
        prefix = self._node.resolve_topic_name(PICTURES + "x")[:-1]
        kinds = {name.removeprefix(prefix): kinds
                 for name, kinds in self._node.get_topic_names_and_types()
                 if name.startswith(prefix)}
        raw = {name for name, these in kinds.items() if _IMAGE in these}
        self._compressed = {name.removesuffix(_SUFFIX) for name, these in kinds.items()
                            if _COMPRESSED in these and name.endswith(_SUFFIX)} - raw
        return sorted(raw | self._compressed)

    def watch(self, camera: str) -> None:
        """Receive the pictures of a camera, or the heatmap (HEATMAP), until `unwatch`."""
        if camera in self._subscriptions:
            return
        # Best effort hears reliable publishers, too, and only the newest picture counts.
        if camera in self._compressed:
            self._subscriptions[camera] = self._node.create_subscription(
                CompressedImage, PICTURES + camera + _SUFFIX, self._decoding(camera), qos.PICTURE)
        else:
            topic = "policy/feature_heatmap" if camera == HEATMAP else PICTURES + camera
            self._subscriptions[camera] = self._node.create_subscription(
                Image, topic, self._taking(camera), qos.PICTURE)

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
