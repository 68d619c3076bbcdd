"""A recording's status for people and for /diagnostics."""

from __future__ import annotations

from collections.abc import Sequence

from diagnostic_msgs.msg import DiagnosticStatus, KeyValue

from vla_sae_ros.bags.recording import RecordingPhase, RecordingStatus

NAME = "recorder: recording"
"""Name of the diagnostic status."""


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
