"""Telemetry and audit on a thread of their own: however slow, the control loop does not wait."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Sequence

from vla_sae_ros.robot.report import Report

Sink = Callable[[Report], None]
_WAITING = 256
"""Reports that may wait, about 17 s at 15 Hz."""

_log = logging.getLogger(__name__)


class SinkThread:
    """Hands reports to every sink in order; what does not fit is dropped and counted."""

    def __init__(self, sinks: Sequence[Sink]) -> None:
        self._sinks = list(sinks)
        self._queue: queue.Queue[Report | None] = queue.Queue(_WAITING)
        self._thread = threading.Thread(target=self._run, name="robot-sinks", daemon=True)
        self._last_error = ""
        self.dropped = 0

    def start(self) -> None:
        """Begin; reports that were put in before are handed out first."""
        self._thread.start()

    def put(self, report: Report) -> None:
        """Queue a report; never waits."""
        try:
            self._queue.put_nowait(report)
        except queue.Full:
            self.dropped += 1

    def close(self, timeout: float) -> None:
        """Hand out what waits and end, within `timeout` s."""
        try:
            self._queue.put(None, timeout=timeout)
        except queue.Full:
            _log.error("a sink of the control loop is stuck; its last reports are lost")
            return
        self._thread.join(timeout)

    def _run(self) -> None:
        while (report := self._queue.get()) is not None:
            for sink in self._sinks:
                self._hand(sink, report)

    def _hand(self, sink: Sink, report: Report) -> None:
        try:
            sink(report)
        except Exception as error:  # one broken listener must not silence the others, nor itself
            if repr(error) != self._last_error:
                _log.exception("a sink of the control loop failed; it is called again")
            self._last_error = repr(error)
