"""The clients whose heartbeats a bridge hears: a service's call does not say whose it is."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from rclpy.node import Node
from rclpy.task import Future

from vla_sae_ros.core.steering.lease import LeaseBook
from vla_sae_ros.msg import SteeringLease
from vla_sae_ros.wire import qos
from vla_sae_ros.wire.steady import steady_timer

PATIENCE = 1.0
"""[s] that a request waits for the first heartbeat of who asks."""
LOOK = 0.1
"""[s] between two looks at who is not heard of any more."""
LONGEST_NAME = 256
"""Characters of a client's name."""
MOST = 100
"""Clients that may be heard of at once; more are a fault, and must not fill the memory."""


def said_several(names: Sequence[str]) -> str:
    """Return why a request of one of several clients is refused."""
    return (
        f"Several clients send heartbeats for this arm: {', '.join(map(repr, names))}. A "
        "request does not say which of them sent it. End all but one, wait a second and try again."
    )


def said_twins(client: str) -> str:
    """Return why a request is refused of a client that is there twice."""
    return (
        f"Two nodes called {client!r} can send heartbeats for this arm: one that ends would not be "
        "missed. End one of them, or give it another name. One that was killed is forgotten within "
        "half a minute."
    )


class HeardClients:
    """`bridge/heartbeat`, and who is heard of on it.

    Args:
        node: owns the subscription.
        longest: [s] that one heartbeat is good for, at most.
        on_beat: called with every heartbeat that counts: client, and what it is good for [s].
    """

    def __init__(
        self,
        node: Node,
        longest: float,
        on_beat: Callable[[str, float], None] = lambda client, duration: None,
    ) -> None:
        self._node, self._longest, self._on_beat = node, longest, on_beat
        self._leases = LeaseBook(time.monotonic)
        self._clients: set[str] = set()
        self._waiting: list[tuple[float, Future]] = []
        heard = node.create_subscription(
            SteeringLease, "bridge/heartbeat", self._beat, qos.HEARTBEAT
        )
        self._topic = heard.topic_name
        steady_timer(node, LOOK, self._wake)

    def names(self) -> list[str]:
        """Return the clients that are heard of; those that are not are forgotten."""
        for client in [name for name in self._clients if self._leases.remaining(name) <= 0]:
            self._clients.discard(client)
            self._leases.forget(client)
        return sorted(self._clients)

    def remaining(self, client: str) -> float:
        """Return for how long [s] a client's last heartbeats are good; 0: it is not heard of."""
        return self._leases.remaining(client)

    def twins(self, client: str) -> bool:
        """Tell whether several nodes that bear a client's name can send its heartbeats."""
        named = self._node.get_publishers_info_by_topic(self._topic)
        return sum(each.node_name == client for each in named) > 1

    async def settled(self) -> list[str]:
        """Return who is heard of, as soon as it is one client.

        Waits for a first heartbeat, and for those to end of clients that have gone.
        """
        known = self.names()
        if len(known) != 1:
            heard = Future(executor=self._node.executor)
            patience = self._longest + LOOK if known else PATIENCE
            self._waiting.append((time.monotonic() + patience, heard))
            await heard
        return self.names()

    def _beat(self, message: SteeringLease) -> None:
        client, duration = message.owner, min(message.duration, self._longest)
        if not client.strip() or not duration > 0 or len(client) > LONGEST_NAME:
            return
        if client not in self._clients and len(self._clients) >= MOST:
            return
        self._leases.renew(client, duration)
        self._clients.add(client)
        self._on_beat(client, duration)
        self._wake()

    def _wake(self) -> None:
        if not self._waiting:
            return
        alone, now = len(self.names()) == 1, time.monotonic()
        for until, heard in list(self._waiting):
            if alone or now > until:
                self._waiting.remove((until, heard))
                heard.set_result(None)
