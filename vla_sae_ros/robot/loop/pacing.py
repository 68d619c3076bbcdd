"""When ticks are due, and how late they were."""

from __future__ import annotations

from collections import deque

import numpy as np

LATE_SHARE = 0.1
"""A tick that begins later than this share of a period counts as late."""
_KEPT = 1000


class Pacer:
    """Absolute pacing: tick n is due at start + n periods, however late the ones before were.

    A tick that is due in the past by more than a period is skipped, not made up for.
    """

    def __init__(self, period: float, start: float) -> None:
        self._period = period
        self._start = start
        self._lateness: deque[float] = deque(maxlen=_KEPT)
        self.number = 0
        """Ticks begun so far."""
        self.late = 0
        """Ticks that began later than a tenth of a period after they were due."""
        self.skipped = 0
        """Ticks that never were, because the one before took too long."""
        self._slot = 0

    @property
    def due(self) -> float:
        """Return when the next tick is due, on the clock of `start` [s]."""
        return self._start + self._slot * self._period

    def restart(self, now: float) -> None:
        """Count anew from here: the thread has waited for something else on purpose."""
        self._start, self._slot = now, 0

    def begin(self, now: float) -> int:
        """Note that a tick begins; return its number, from 0."""
        late = now - self.due
        self._lateness.append(late)
        self.late += late > LATE_SHARE * self._period
        missed = max(0, int(late / self._period))
        self.skipped += missed
        self._slot += 1 + missed
        self.number += 1
        return self.number - 1

    def late_percentile(self, percent: float) -> float:
        """Return the percentile of how late the last 1,000 ticks began [s]; NaN without one."""
        kept = list(self._lateness)
        return float(np.percentile(kept, percent)) if kept else float("nan")
