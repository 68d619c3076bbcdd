"""Foxglove's protocol, asked by a client of its own: the messages of the system, as they are."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from patience import PATIENCE, eventually
from rclpy.context import Context
from rclpy.node import Node
from rclpy.serialization import deserialize_message
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from vla_sae_ros.bags.message_definitions import definition_of
from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.live.foxglove_server import FoxgloveServer
from vla_sae_ros.live.listener import Listener
from vla_sae_ros.msg import Annotation, EpisodeState
from vla_sae_ros.wire import qos


class Viewer:
    """A client of the protocol foxglove.sdk.v1."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self.channels: dict[str, dict[str, Any]] = {}
        self._subscribed: dict[int, str] = {}

    def offers(self, topic: str) -> dict[str, Any]:
        """Wait until a topic is advertised; return its channel."""
        while topic not in self.channels:
            told = self._socket.recv(PATIENCE)
            if isinstance(told, str) and (message := json.loads(told))["op"] == "advertise":
                self.channels |= {each["topic"]: each for each in message["channels"]}
        return self.channels[topic]

    def subscribe(self, topic: str) -> None:
        number = len(self._subscribed)
        self._subscribed[number] = topic
        wanted = [{"id": number, "channelId": self.offers(topic)["id"]}]
        self._socket.send(json.dumps({"op": "subscribe", "subscriptions": wanted}))

    def message(self, timeout: float = PATIENCE) -> tuple[str, bytes] | None:
        """Return the topic and the bytes of the next message; None when none comes in time."""
        while True:
            try:
                told = self._socket.recv(timeout)
            except TimeoutError:
                return None
            if isinstance(told, bytes) and told[0] == 1:
                number, _ = struct.unpack_from("<IQ", told, 1)
                return self._subscribed[number], told[13:]


@contextmanager
def viewing(url: str) -> Iterator[Viewer]:
    protocols = [Subprotocol("foxglove.sdk.v1")]
    with connect(url, subprotocols=protocols, open_timeout=PATIENCE) as socket:
        yield Viewer(socket)


@pytest.fixture
def server() -> Iterator[FoxgloveServer]:
    server = FoxgloveServer("127.0.0.1", 0)
    listener = Listener("foxglove", server, ("episode", "annotation"))
    yield server
    listener.close()
    server.close()


def test_a_viewer_gets_definitions_latched_messages_and_new_ones(
    server: FoxgloveServer, ros_context: Context
) -> None:
    node = Node("system", context=ros_context)
    episode = node.create_publisher(EpisodeState, "episode", qos.LATCHED)
    annotation = node.create_publisher(Annotation, "annotation", qos.EVENTS)
    state = EpisodeState(episode_id="e1", instruction="pick it up", step=3)
    episode.publish(state)
    for _ in range(2):  # the second one comes after everything was said
        with viewing(server.url) as viewer:
            channel = viewer.offers("/episode")
            assert channel["schemaName"] == "vla_sae_ros/msg/EpisodeState"
            assert (channel["encoding"], channel["schemaEncoding"]) == ("cdr", "ros2msg")
            assert channel["schema"] == definition_of(channel["schemaName"]).text
            viewer.subscribe("/episode")
            topic, data = viewer.message()
            assert (topic, deserialize_message(data, EpisodeState)) == ("/episode", state)
            viewer.subscribe("/annotation")
            told = Annotation(text="the grasp slipped")

            def answered(viewer: Viewer = viewer, told: Annotation = told):
                annotation.publish(told)  # until the subscription is known on both sides
                return viewer.message(0.1)

            topic, data = eventually(answered)
            assert (topic, deserialize_message(data, Annotation)) == ("/annotation", told)
    node.destroy_node()


def test_an_address_that_is_taken_is_refused(server: FoxgloveServer) -> None:
    port = int(server.url.rsplit(":", 1)[1])
    with pytest.raises(ConfigurationError, match=rf"127.0.0.1:{port}.*--port"):
        FoxgloveServer("127.0.0.1", port)


@pytest.mark.parametrize("port", [-1, 65536])
def test_a_port_that_is_none_is_refused(port: int) -> None:
    with pytest.raises(ConfigurationError, match=rf"127.0.0.1:{port}.*--port"):
        FoxgloveServer("127.0.0.1", port)


def test_a_namespace_that_is_none_is_refused(server: FoxgloveServer) -> None:
    with pytest.raises(ConfigurationError, match=r"namespace.*'a b'.*/left"):
        Listener("foxglove", server, ("episode",), "a b")
