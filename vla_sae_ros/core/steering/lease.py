"""Leases: an owner's edits live only while the owner is heard of."""

from __future__ import annotations

import math
from collections.abc import Callable

MOST = 1000
"""Owners that are heard of at once."""


class LeaseBook:
    """Until when each owner is trusted to be alive.

    Args:
        clock: monotonic wall time [s]. An owner's life has nothing to do with observation time.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._until: dict[str, float] = {}

    def renew(self, owner: str, duration: float) -> None:
        """Trust the owner for `duration` [s] from now; never shortens a lease.

        Leases that have run out are forgotten as new owners come, and the one that runs out first
        is when there are MOST of them.
        """
        now = self._clock()
        if owner not in self._until:
            self._until = {name: until for name, until in self._until.items() if until > now}
            if len(self._until) >= MOST:
                del self._until[min(self._until, key=self._until.__getitem__)]
        self._until[owner] = max(self._until.get(owner, -math.inf), now + duration)

    def remaining(self, owner: str) -> float:
        """Return the seconds left, 0 when the lease has run out or never was."""
        return max(0.0, self._until.get(owner, -math.inf) - self._clock())

    def forget(self, owner: str) -> None:
        self._until.pop(owner, None)
