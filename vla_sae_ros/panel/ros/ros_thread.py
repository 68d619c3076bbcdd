"""A node of the panel's own, for the stand-alone window."""

from __future__ import annotations

import threading

import rclpy
from rclpy.context import Context
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from vla_sae_ros.panel.ros.ros_client import RosClient
from vla_sae_ros.wire.guarded_executor import GuardedExecutor
from vla_sae_ros.wire.leaving import leave_graph


class RosThread:
    """A node of the panel's own, spun on a thread of its own, in a context of its own."""

    def __init__(self, arguments: list[str] | None = None) -> None:
        """Join the graph. `arguments` may hold --ros-args."""
        self._context = Context()
        rclpy.init(
            args=arguments, context=self._context, signal_handler_options=SignalHandlerOptions.NO
        )
        # The panel has no parameters: without their services it opens faster.
        self.node = Node(
            "panel", context=self._context, start_parameter_services=False, enable_rosout=False
        )
        self.client = RosClient(self.node)
        self._executor = GuardedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self._thread = threading.Thread(target=self._spin, name="panel-ros", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Leave the graph; the edits of this panel end with their lease."""
        self._executor.shutdown()
        self._thread.join(5.0)
        self.client.close()
        leave_graph(self.node)

    def _spin(self) -> None:
        try:
            self._executor.spin()
        except ExternalShutdownException:
            return  # the context was shut down: the panel is closing
