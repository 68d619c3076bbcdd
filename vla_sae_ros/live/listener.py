"""A node that listens to a running system for somebody who is not a node."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence

import rclpy
from rclpy.context import Context
from rclpy.node import Node

from vla_sae_ros.core.namespace import checked_namespace
from vla_sae_ros.nodes.recorder.subscriptions import RecorderSubscriptions, Sink, wanted_topics
from vla_sae_ros.wire.guarded_executor import GuardedExecutor
from vla_sae_ros.wire.leaving import leave_graph
from vla_sae_ros.wire.steady import steady_timer

_LOOK_PERIOD = 0.5  # [s] between looks for new publishers


class Listener:
    """Hands every message on `topics`, and of every camera, to a sink, from a thread of its own.

    Args:
        name: the node's; the number of this process is put behind it.
        sink: gets the messages as they were serialised.
        topics: relative to `namespace`, that of the system.

    Raises:
        ConfigurationError: `namespace` is none.
    """

    def __init__(self, name: str, sink: Sink, topics: Sequence[str], namespace: str = "") -> None:
        namespace = checked_namespace(namespace)
        self._context = Context()
        rclpy.init(context=self._context)
        self._node = Node(
            f"{name}_{os.getpid()}", namespace=namespace or None, context=self._context
        )
        self.prefix: str = self._node.resolve_topic_name("x")[:-1]
        self._subscriptions = RecorderSubscriptions(
            self._node, sink, wanted_topics(self._node, topics), pictures=True
        )
        steady_timer(self._node, _LOOK_PERIOD, self._subscriptions.look)
        self._executor = GuardedExecutor(context=self._context)
        self._executor.add_node(self._node)
        self._thread = threading.Thread(target=self._executor.spin, daemon=True, name="executor")
        self._thread.start()

    def close(self) -> None:
        """Leave the graph."""
        self._executor.shutdown()
        self._thread.join()
        self._subscriptions.close()
        leave_graph(self._node)
