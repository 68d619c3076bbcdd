"""Python's garbage, collected when the arm can wait: a full collection holds every thread."""

from __future__ import annotations

import gc
import sys

SWITCH_INTERVAL = 0.0005
"""[s] after which another Python thread has to let the control thread run; Python's default is ten
times as long, and a tick would wait that long for every busy thread."""
_OLDER_EVERY = 15
"""Ticks between two collections of the generation after the youngest."""
_ALL_EVERY = 75
"""Ticks between two full collections, of an arm that is not enabled."""


class Housekeeping:
    """Process-wide: collects right after a tick, when there is most time until the next one.

    While the arm is enabled only young garbage goes; old cycles wait until it is not.
    """

    def __init__(self) -> None:
        self._ticks = 0
        self._switch_interval = sys.getswitchinterval()

    def start(self) -> None:
        """Take over: what exists already is never looked at again."""
        self._switch_interval = sys.getswitchinterval()
        sys.setswitchinterval(SWITCH_INTERVAL)
        gc.collect()
        gc.freeze()
        gc.disable()

    def after_tick(self, enabled: bool) -> None:
        """Collect what there is time for."""
        self._ticks += 1
        if not enabled and self._ticks % _ALL_EVERY == 0:
            gc.collect()
        else:
            gc.collect(1 if self._ticks % _OLDER_EVERY == 0 else 0)

    def stop(self) -> None:
        """Give back what was taken over."""
        sys.setswitchinterval(self._switch_interval)
        gc.unfreeze()
        gc.enable()
