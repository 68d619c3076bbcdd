"""What the recorder tells the others about its recording: record/state and /diagnostics."""

from __future__ import annotations

from collections.abc import Sequence

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.node import Node

from vla_sae_ros.bags.recording import RecordingPhase, RecordingStatus
from vla_sae_ros.msg import RecordingState
from vla_sae_ros.wire import qos

NAME = "recorder: recording"
"""Name of the diagnostic status."""

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


def in_words(status: RecordingStatus) -> str:
    """Return the status as one line."""
    counts = (
        f"{status.messages} messages, {status.bytes / 1e6:.1f} MB, "
        f"{status.dropped_total} dropped, {status.seconds:.1f} s in {status.folder}"
    )
    return f"{status.reason}; {counts}" if status.reason else f"{status.phase.value}: {counts}"


def remarks(status: RecordingStatus) -> str:
    """Return what is to be said beyond the numbers; empty in a good recording."""
    lost = f"{status.dropped_total} messages dropped ({_by_topic(status)})"
    return "; ".join(filter(None, [status.reason, lost if status.dropped else ""]))


def diagnosis(status: RecordingStatus | None, waiting: Sequence[str]) -> DiagnosticStatus:
    """Return one diagnostic status; `waiting` are topics that nobody has published on yet."""
    if status is None:
        return DiagnosticStatus(name=NAME, level=DiagnosticStatus.OK, message="not recording")
    level = DiagnosticStatus.WARN if status.dropped else DiagnosticStatus.OK
    if status.phase is RecordingPhase.FAILED:
        level = DiagnosticStatus.ERROR
    values = {
        "phase": status.phase.value,
        "folder": str(status.folder),
        "messages": str(status.messages),
        "bytes": str(status.bytes),
        "queued": str(status.queued),
        "dropped": str(status.dropped_total),
        "dropped_by_topic": _by_topic(status),
        "seconds": f"{status.seconds:.1f}",
        "waiting_for_publishers": ", ".join(waiting),
    }
    return DiagnosticStatus(
        name=NAME,
        level=level,
        message=in_words(status),
        values=[KeyValue(key=key, value=value) for key, value in values.items()],
    )


def _by_topic(status: RecordingStatus) -> str:
    return ", ".join(f"{topic}: {count}" for topic, count in sorted(status.dropped.items()))
