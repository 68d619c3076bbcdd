"""The audit log: every command, refusal, stop and request as one JSON line."""

from __future__ import annotations

import fcntl
import logging
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vla_sae_ros.core.commander import Commander
from vla_sae_ros.core.errors import ConfigurationError, RecordingError
from vla_sae_ros.core.journal import Journal
from vla_sae_ros.robot.driver import Joints
from vla_sae_ros.robot.outcome import TickOutcome
from vla_sae_ros.robot.report import Report

LARGEST = 64 * 1024 * 1024
"""[bytes] of one file, about 12 hours at 15 Hz."""
KEPT = 8
"""Files, the one that is written included; the oldest is removed."""
_DIGITS = 5

_log = logging.getLogger(__name__)


class AuditLog(Journal):
    """A sink for SinkThread: it may be slow, the control loop does not wait for it.

    Files are `audit.jsonl`, `audit.1.jsonl` (the one before), and so on. A killed process loses
    what its sink thread had not yet been handed, at most. A line that cannot be written, on a full
    disk, is counted; the next one that can says how many were lost before it.

    Args:
        folder: is made when it is missing.
        clock: wall clock [s].

    Raises:
        ConfigurationError: the folder cannot be written to, holds another kind of file, or is
            another process's.
    """

    def __init__(
        self,
        folder: Path,
        largest: int = LARGEST,
        kept: int = KEPT,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._folder, self._largest, self._kept, self._clock = folder, largest, kept, clock
        self.lost = 0
        """Lines that could not be written."""
        self._told = 0
        try:
            self._begin()
        except (OSError, RecordingError) as error:
            raise ConfigurationError(f"The audit log cannot be written: {error}") from error

    def __call__(self, report: Report) -> None:
        """Write one report; raises nothing of the disk."""
        record = record_of(report, self._clock())
        if self.lost > self._told:
            record["lost_lines"] = self.lost - self._told
        try:
            if self.size >= self._largest:
                self._rotate()
            self.add(record)
            self._told = self.lost
        except (OSError, RecordingError) as error:
            if self.lost == self._told:
                _log.error("a line of the audit log is lost, and perhaps more: %s", error)
            self.lost += 1

    def _of_age(self, age: int) -> Path:
        return self._folder / ("audit.jsonl" if age == 0 else f"audit.{age}.jsonl")

    def _begin(self) -> None:
        """Open the file and keep others from it: they would cut each other's lines off."""
        super().__init__(self._of_age(0))
        try:
            fcntl.flock(self._file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.close()
            raise RecordingError(
                f"{self.path} is being written by another bridge. End it, or give each its own "
                "audit_folder."
            ) from None

    def _rotate(self) -> None:
        """Begin a new file; where that fails the next line tries again."""
        self.close()
        if self._of_age(0).exists():
            for age in range(self._kept - 2, -1, -1):
                if self._of_age(age).exists():
                    self._of_age(age).replace(self._of_age(age + 1))
        self._begin()


def record_of(report: Report, wall: float) -> dict[str, Any]:
    """Return the fields of one line; `wall` is the wall clock [s]."""
    envelope = report.state.envelope
    record: dict[str, Any] = {
        "wall": wall,
        "status": envelope.status.name.lower(),
        "owner": envelope.owner,
        "revision": envelope.steering_revision,
        "dropped_reports": report.state.dropped_reports,
    }
    if report.event:
        record["event"] = report.event
    if report.outcome is not None:
        record |= _of_outcome(report.outcome)
    if envelope.reason is not None:
        record |= {"reason": envelope.reason, "reason_detail": envelope.detail}
    return record


def _of_outcome(outcome: TickOutcome) -> dict[str, Any]:
    command = outcome.command
    record: dict[str, Any] = {
        "tick": outcome.tick,
        "monotonic": round(outcome.stamp, 6),
        "measured": _list(outcome.measured),
        "requested": _list(outcome.requested),
        "sent": _list(outcome.sent),
        "limits": list(outcome.limits),
        "refused": outcome.refused,
        "stop": outcome.stop,
        "detail": outcome.detail,
        "gripper": None if math.isnan(outcome.closing) else outcome.closing,
        "source": (Commander.HOLD if command is None else command.source).name.lower(),
    }
    if command is not None:
        record |= {
            "revision": command.steering_revision,
            "episode": command.episode_id,
            "chunk": command.chunk_id,
            "row": command.chunk_index,
        }
    return record


def _list(joints: Joints | None) -> list[float | None] | None:
    """JSON knows no NaN: a joint that is not finite becomes null."""
    if joints is None:
        return None
    return [round(float(j), _DIGITS) if math.isfinite(j) else None for j in joints]
