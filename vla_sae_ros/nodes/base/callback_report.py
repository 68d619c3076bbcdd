"""How many callbacks of a node have raised, on /diagnostics."""

from __future__ import annotations

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.node import Node

from vla_sae_ros.core.errors import bounded
from vla_sae_ros.wire import qos
from vla_sae_ros.wire.conversions import to_header
from vla_sae_ros.wire.guarded_executor import failures_by_place
from vla_sae_ros.wire.steady import steady_timer

PERIOD = 1.0  # [s]


class CallbackReport:
    """Publishes the status "<node>: callbacks" once a second: OK, or WARN with what has failed."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._publisher = node.create_publisher(DiagnosticArray, "/diagnostics", qos.DIAGNOSTICS)
        self._timer = steady_timer(node, PERIOD, self._publish)

    def destroy(self) -> None:
        """Take topic and timer off the node."""
        self._node.destroy_timer(self._timer)
        self._node.destroy_publisher(self._publisher)

    def _publish(self) -> None:
        header = to_header(self._node.get_clock().now().nanoseconds)
        self._publisher.publish(
            DiagnosticArray(header=header, status=[callback_status(self._node)])
        )


def callback_status(node: Node) -> DiagnosticStatus:
    """Return the status of a node's callbacks: how many have raised, by place and class."""
    failures = failures_by_place(node)
    total = sum(failures.values())
    return DiagnosticStatus(
        level=DiagnosticStatus.WARN if total else DiagnosticStatus.OK,
        name=f"{node.get_name()}: callbacks",
        message=f"{total} failed; the log has the traces" if total else "none has failed",
        values=[KeyValue(key=bounded(key), value=str(count)) for key, count in failures.items()],
    )
