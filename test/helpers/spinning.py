"""Nodes that threads of their own spin, as processes of their own would."""

from __future__ import annotations

import threading

from patience import PATIENCE
from rclpy.node import Node

from vla_sae_ros.nodes.base.running import spin_until


class Spinning:
    """Spins each node on its own thread from now on, until `close`."""

    def __init__(self, *nodes: Node) -> None:
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=spin_until, args=(node, self._stop), daemon=True)
            for node in nodes
        ]
        for thread in self._threads:
            thread.start()

    @property
    def closed(self) -> bool:
        return self._stop.is_set()

    def close(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(PATIENCE)
