"""A running system for Foxglove, by its WebSocket protocol; the messages pass as they are."""

from __future__ import annotations

import queue
import threading
from collections.abc import Sequence

import foxglove
from foxglove import Channel, Schema
from foxglove.websocket import ChannelView, Client, ServerListener
from rosbags.interfaces import Qos, QosDurability

from vla_sae_ros.bags.message_definitions import definition_of
from vla_sae_ros.core.errors import ConfigurationError, complaint


class FoxgloveServer(ServerListener):
    """Serves ROS messages: schemas as .msg definitions, messages in CDR. A `Sink`.

    A viewer that comes later gets the newest message of every latched topic, as a node would.

    Args:
        host: address to listen on.
        port: TCP port; 0 takes one that is free.

    Raises:
        ConfigurationError: nobody can listen there.
    """

    def __init__(self, host: str, port: int) -> None:
        self._lock = threading.Lock()
        self._channels: dict[str, Channel] = {}
        self._latched: dict[str, tuple[int, bytes] | None] = {}
        self._context = foxglove.Context()
        self._asked: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        try:
            self._server = foxglove.start_server(
                name="vla_sae_ros",
                host=host,
                port=port,
                context=self._context,
                server_listener=self,
            )
        except (RuntimeError, OverflowError) as error:  # all that the SDK raises
            raise ConfigurationError(
                complaint(
                    "cannot serve here",
                    f"{host}:{port}",
                    "an address of this machine and a free port",
                    f"The system says: {error}. Choose others with --host and --port.",
                )
            ) from error
        self._repeating = threading.Thread(target=self._repeat, daemon=True, name="latched")
        self._repeating.start()
        self.url = f"ws://{host}:{self._server.port}"

    def add_topic(self, topic: str, msgtype: str, offered: Sequence[Qos], /) -> None:
        """Offer a topic to the viewers."""
        text = definition_of(msgtype).text
        schema = Schema(name=msgtype, encoding="ros2msg", data=text.encode())
        channel = Channel(topic, schema=schema, message_encoding="cdr", context=self._context)
        with self._lock:
            self._channels[topic] = channel
            if any(each.durability is QosDurability.TRANSIENT_LOCAL for each in offered):
                self._latched[topic] = None

    def put(self, topic: str, received_ns: int, data: bytes, /) -> None:
        """Send a message to everybody who looks at its topic."""
        with self._lock:
            if topic in self._latched:
                self._latched[topic] = (received_ns, data)
            self._channels[topic].log(data, log_time=received_ns)

    def on_subscribe(self, client: Client, channel: ChannelView) -> None:
        """Take note that the newest message of this topic is to be sent again."""
        self._asked.put(channel.topic)  # here, on a thread of the server, nothing may wait for it

    def close(self) -> None:
        """Stop serving."""
        self._asked.put(None)
        self._repeating.join()
        self._server.stop()

    def _repeat(self) -> None:
        while (topic := self._asked.get()) is not None:
            with self._lock:
                newest = self._latched.get(topic)
                if newest is not None:  # to everybody: the others know it already
                    self._channels[topic].log(newest[1], log_time=newest[0])
