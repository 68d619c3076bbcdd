"""Who asked, as far as the graph tells.

A request names nobody: DDS tells the node that answers only that it came, and `SetBool` and
`Trigger` have no field for a name. But the graph knows which nodes have a client of a service.
"""

from __future__ import annotations

import time

from rclpy.node import Node

from vla_sae_ros.core.errors import bounded

FRESH = 0.5  # [s] for which the graph's answer is kept: a client may ask a hundred times a second
LONGEST = 300  # [characters] of several names


class Callers:
    """Which nodes can have asked for a service of a node."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._known: dict[str, tuple[float, list[str]]] = {}

    def of(self, service: str, owner: str = "") -> str:
        """Return the full name of the node that asked; of several that can have, the one that
        bears the owner's name, or all joined by " or "; empty when none is known.

        service: its relative name.
        """
        names = self._clients_of(self._node.resolve_service_name(service))
        own = [name for name in names if owner and name.rsplit("/", 1)[-1] == owner]
        return bounded(" or ".join(own or names), LONGEST)

    def _clients_of(self, service: str) -> list[str]:
        now = time.monotonic()
        at, names = self._known.get(service, (-FRESH, []))
        if now - at >= FRESH or not names:
            names = self._look(service)
            self._known[service] = now, names
        return names

    def _look(self, service: str) -> list[str]:
        found = set()
        for name, namespace in self._node.get_node_names_and_namespaces():
            try:
                asks = self._node.get_client_names_and_types_by_node(name, namespace)
            except RuntimeError:  # NodeNameNonExistentError: it has gone meanwhile
                continue
            if any(each == service for each, _ in asks):
                found.add(f"{namespace.rstrip('/')}/{name}")
        return sorted(found)
