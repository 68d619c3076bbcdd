"""A thread that can stop the driver while the control thread cannot: it hangs in a driver call."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from queue import SimpleQueue

from vla_sae_ros.robot.loop.realtime import become_realtime

PATIENCE = 0.05
"""[s] that the control thread has to obey a stop by itself."""

_log = logging.getLogger(__name__)


class Stopper:
    """Stops the driver itself when a stop was not obeyed in time.

    Args:
        stop: the driver's; raises nothing and may be called while another call blocks.
    """

    def __init__(self, stop: Callable[[], None]) -> None:
        self._stop = stop
        self._demands: SimpleQueue[threading.Event | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="robot-stopper", daemon=True)

    def start(self) -> None:
        """Begin to wait for demands."""
        self._thread.start()

    def demand(self, obeyed: threading.Event) -> None:
        """Stop the driver unless `obeyed` is set in time; it is set afterwards."""
        self._demands.put(obeyed)

    def close(self) -> None:
        """End; a driver whose stop blocks keeps its thread."""
        self._demands.put(None)

    def _run(self) -> None:
        become_realtime()
        while (obeyed := self._demands.get()) is not None:
            if obeyed.wait(PATIENCE):
                continue
            _log.error(
                "the control thread hangs in a driver call: stopping the driver from another thread"
            )
            try:
                self._stop()
            except Exception:  # the control thread stops it again when it is back
                _log.exception("the driver could not be stopped")
            obeyed.set()
