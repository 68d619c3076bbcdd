"""The recorder's subscriptions: made as publishers appear, handing raw messages to a recording."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Protocol

from rclpy.exceptions import InvalidTopicNameException
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.serialization import deserialize_message
from rclpy.subscription import Subscription
from rclpy.validate_topic_name import validate_topic_name
from rosbags.interfaces import Qos

from vla_sae_ros.bags.message_definitions import definition_of, message_class
from vla_sae_ros.bags.picture_compressor import PictureCompressor
from vla_sae_ros.bags.pictures import COMPRESSED, PICTURES, RAW_TYPE
from vla_sae_ros.core.errors import RecordingError, complaint
from vla_sae_ros.msg import ActionChunk, FeatureActivations
from vla_sae_ros.nodes.recorder.topics import (
    CONTRACT_TOPICS,
    PICTURE_TYPES,
    bag_profile,
    subscription_profile,
    wait_for_publisher,
)

NUMBERS = "sensor_msgs/msg/JointState"
INFERENCES = {"policy/action_chunk": ActionChunk, "policy/features": FeatureActivations}
"""What one inference publishes: its chunk, then what was read out."""


class Sink(Protocol):
    """What messages are handed to, e.g. a Recording."""

    def add_topic(self, topic: str, msgtype: str, offered: Sequence[Qos], /) -> None:
        """Announce a topic before its first message."""

    def put(self, topic: str, received_ns: int, data: bytes, /) -> object:
        """Take one serialized message at once."""


Wanted = Mapping[str, QoSProfile | None]
"""Full topic name -> the wire contract's profile, None for a topic outside the contract."""


def wanted_topics(node: Node, topics: Sequence[str]) -> Wanted:
    """Return the full names of `topics`, or of the whole contract when there are none.

    Raises RecordingError for something that is no topic name.
    """
    contract = {node.resolve_topic_name(topic.name): topic.qos for topic in CONTRACT_TOPICS}
    try:
        for topic in topics:
            validate_topic_name(topic)
    except InvalidTopicNameException as error:
        raise RecordingError(
            complaint("not a topic name", list(topics), "ROS topic names", str(error))
        ) from error
    names = [node.resolve_topic_name(topic) for topic in topics]
    return {name: contract.get(name) for name in names} if names else dict(contract)


class RecorderSubscriptions:
    """Of one recording. Everything runs on the node's executor."""

    def __init__(
        self,
        node: Node,
        recording: Sink,
        wanted: Wanted,
        pictures: bool,
        compressor: PictureCompressor | None = None,
        numbers: bool = False,
    ) -> None:
        """Subscribe to what can be heard now; `pictures`: and to every camera that appears.

        `numbers`: and to every observation/<name> of an environment that has them.
        With a compressor, pictures go through it, which this object closes in the end; a topic
        <camera>/compressed of somebody else is then left out.
        """
        self._node, self._recording, self._pictures = node, recording, pictures
        self._compressor, self._numbers = compressor, numbers
        self._waiting = dict(wanted)
        self._made: dict[str, Subscription] = {}
        self._sinks: dict[str, Sink | PictureCompressor] = {}
        self._types = {node.resolve_topic_name(t.name): t.msgtype for t in CONTRACT_TOPICS}
        self._observations = node.resolve_topic_name("observation") + "/"
        self._prefix = node.resolve_topic_name(PICTURES.rstrip("/")) + "/"
        self._inferences = {node.resolve_topic_name(t): kind for t, kind in INFERENCES.items()}
        self._newest: dict[str, bytes] = {}  # of those topics
        self.look()

    @property
    def waiting(self) -> list[str]:
        """Topics that are wanted and on which nobody publishes yet."""
        return sorted(self._waiting)

    def look(self) -> None:
        """Subscribe to what has appeared since the last look."""
        visible = {
            name: types[0] for name, types in self._node.get_topic_names_and_types() if types
        }
        if self._pictures:
            for name in self._cameras(visible):
                self._waiting.setdefault(name, None)
        if self._numbers:
            for name in self._vectors(visible):
                self._waiting.setdefault(name, None)
        for name, profile in list(self._waiting.items()):
            msgtype: str | None = self._types.get(name) or visible.get(name)
            if msgtype is not None and self._try(name, profile, msgtype):
                del self._waiting[name]

    @property
    def unread_chunk(self) -> int | None:
        """Number of the newest chunk if what was read out of its inference has not come yet.

        None where nothing was read out before, either: that policy has no taps.
        """
        try:
            chunk, read_out = (
                deserialize_message(self._newest[topic], kind)
                for topic, kind in self._inferences.items()
            )
        except (KeyError, RuntimeError, UnicodeDecodeError):  # not come, or not readable
            return None
        later = (chunk.policy_start, chunk.chunk_id) > (read_out.policy_start, read_out.chunk_id)
        return int(chunk.chunk_id) if later else None

    def take_arrived(self) -> None:
        """Record what has arrived and still waits for the executor, one queue per topic at most."""
        for topic in self._made:
            self._drain(topic)

    def close(self) -> None:
        """Unsubscribe from everything and hand over what is still being compressed."""
        for subscription in self._made.values():
            self._node.destroy_subscription(subscription)
        self._made.clear()
        self._waiting.clear()
        if self._compressor is not None:
            self._compressor.close()

    def _cameras(self, visible: Mapping[str, str]) -> Iterator[str]:
        """Yield the picture topics that are to be recorded and are not yet."""
        for name, msgtype in visible.items():
            if msgtype not in PICTURE_TYPES or not name.startswith(self._prefix):
                continue
            twice = self._compressor is not None and name.removesuffix(COMPRESSED) in visible
            if name not in self._made and not (name.endswith(COMPRESSED) and twice):
                yield name

    def _vectors(self, visible: Mapping[str, str]) -> Iterator[str]:
        """Yield the topics observation/<name> with numbers that are not recorded yet."""
        for name, msgtype in visible.items():
            below = name.removeprefix(self._observations)
            if msgtype == NUMBERS and below != name and "/" not in below and name not in self._made:
                yield name

    def _try(self, topic: str, profile: QoSProfile | None, msgtype: str) -> bool:
        """Subscribe if enough is known about the publishers; False to try again later."""
        offers = [info.qos_profile for info in self._node.get_publishers_info_by_topic(topic)]
        if not offers and (profile is None or wait_for_publisher(profile)):
            return False
        if not offers and profile is not None:
            offers = [profile]
        try:
            definition_of(msgtype)
            kind = message_class(msgtype)
        except RecordingError as error:
            self._node.get_logger().error(f"{topic} is not recorded: {error}")
            return True
        sink: Sink | PictureCompressor = self._recording
        profiles = [bag_profile(offer) for offer in offers]
        if self._compressor is not None and msgtype == RAW_TYPE:
            sink = self._compressor
            self._compressor.add_topic(topic, profiles)
        else:
            self._recording.add_topic(topic, msgtype, profiles)
        self._sinks[topic] = sink
        self._made[topic] = self._node.create_subscription(
            kind,
            topic,
            partial(self._on_message, topic),
            subscription_profile(offers, msgtype),
            raw=True,
        )
        return True

    def _on_message(self, topic: str, data: bytes) -> None:
        self._store(topic, data)
        self._drain(topic)  # one turn of the executor costs more than ten messages

    def _drain(self, topic: str) -> None:
        """Record what waits on a topic, one queue at most."""
        subscription = self._made[topic]
        for _ in range(subscription.qos_profile.depth):
            with subscription.handle:
                taken = subscription.handle.take_message(subscription.msg_type, True)
            if taken is None:
                break
            self._store(topic, taken[0])

    def _store(self, topic: str, data: bytes) -> None:
        if topic in self._inferences:
            self._newest[topic] = data
        self._sinks[topic].put(topic, time.time_ns(), data)
