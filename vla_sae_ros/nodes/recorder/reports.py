"""What the recorder tells the others about its recording: record/state and /diagnostics."""

from __future__ import annotations

from collections.abc import Sequence

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node

from vla_sae_ros.bags.recording import RecordingPhase, RecordingStatus
from vla_sae_ros.msg import RecordingState
from vla_sae_ros.nodes.recorder.recording_words import diagnosis, remarks
from vla_sae_ros.wire import qos

_STATUS = {
    RecordingPhase.WRITING: RecordingState.RECORDING,
    RecordingPhase.CLOSED: RecordingState.CLOSED,
    RecordingPhase.FAILED: RecordingState.FAILED,
}


class RecorderReports:
    """Publishes, for one node, what it is given; None stands for "nothing was recorded yet"."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._state = node.create_publisher(RecordingState, "record/state", qos.LATCHED)
        self._diagnostics = node.create_publisher(DiagnosticArray, "/diagnostics", qos.DIAGNOSTICS)

    def publish_state(self, status: RecordingStatus | None) -> None:
        """Publish the recording's state, latched."""
        message = to_state(status)
        message.header.stamp = self._node.get_clock().now().to_msg()
        self._state.publish(message)

    def publish_diagnostics(self, status: RecordingStatus | None, waiting: Sequence[str]) -> None:
        """Publish a diagnostic status; `waiting` are topics that nobody publishes on yet."""
        message = DiagnosticArray(status=[diagnosis(status, waiting)])
        message.header.stamp = self._node.get_clock().now().to_msg()
        self._diagnostics.publish(message)


def to_state(status: RecordingStatus | None) -> RecordingState:
    """Return the message of a status; its header is left empty."""
    if status is None:
        return RecordingState(status=RecordingState.IDLE)
    return RecordingState(
        status=_STATUS[status.phase],
        uri=str(status.folder),
        elapsed=status.seconds,
        size=status.bytes,
        messages=status.messages,
        dropped=status.dropped_total,
        detail=remarks(status),
    )
