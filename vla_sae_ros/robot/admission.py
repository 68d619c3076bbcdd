"""Who may move the arm, and whether anything may: status, enable lease and the latched stop."""

from __future__ import annotations

import math
from collections.abc import Callable

from vla_sae_ros.core.errors import VlaSaeError, complaint
from vla_sae_ros.core.steering.lease import LeaseBook
from vla_sae_ros.robot.reasons import Status, Stop


class EnableRefused(VlaSaeError):
    """The arm was not enabled, renewed or recovered; nothing has changed."""


class Admission:
    """Not thread-safe: the envelope locks.

    Args:
        longest_lease: [s]
        clock: monotonic [s].
    """

    def __init__(self, longest_lease: float, clock: Callable[[], float]) -> None:
        self._longest = longest_lease
        self._leases = LeaseBook(clock)
        self.status = Status.OFFLINE
        self.owner = ""
        self.reason: Stop | None = None
        self.detail = ""
        self.stops = 0

    @property
    def lease_left(self) -> float:
        """Return the seconds until the enable ends by itself; 0 when nobody holds it."""
        return self._leases.remaining(self.owner) if self.owner else 0.0

    def enable(self, owner: str, lease: float) -> None:
        """Let `owner` move the arm for `lease` s; again: renew it.

        Raises:
            EnableRefused: offline, stopped, somebody else's, or a lease that is too long.
        """
        if not owner.strip():
            raise EnableRefused(complaint("Owner of the enable", owner, "a name"))
        if not (math.isfinite(lease) and 0 < lease <= self._longest):
            allowed = f"above 0, up to {self._longest:g} s"
            raise EnableRefused(complaint("Lease of the enable", lease, allowed))
        if self.status is Status.STOPPED:
            why = f"{self.reason}: {self.detail}"
            raise EnableRefused(
                f"The arm is stopped ({why}). Recover first (panel, or "
                "vla-sae run --robot --recover)."
            )
        if self.status is Status.OFFLINE:
            raise EnableRefused("The arm is offline: there is no fresh joint state from it.")
        if self.status is Status.ENABLED and owner != self.owner:
            raise EnableRefused(f"The arm is enabled by {self.owner!r}; it has to disable first.")
        self.owner = owner
        self.status = Status.ENABLED
        self._leases.renew(owner, lease)

    def renew(self, owner: str, lease: float) -> None:
        """Prolong an enable; raises EnableRefused when `owner` holds none."""
        if self.status is not Status.ENABLED or owner != self.owner:
            raise EnableRefused(f"{owner!r} does not hold the enable; enable first.")
        self.enable(owner, lease)

    def disable(self) -> None:
        """End an enable; harmless without one."""
        if self.status is Status.ENABLED:
            self.status = Status.DISABLED
        self._forget_owner()

    def stop(self, reason: Stop, detail: str) -> None:
        """Latch; the first reason stays until `recover`."""
        self._forget_owner()
        if self.status is Status.STOPPED:
            return
        self.status, self.reason, self.detail = Status.STOPPED, reason, detail
        self.stops += 1

    def recover(self) -> None:
        """Forget the stop; the arm stays disabled."""
        if self.status is Status.STOPPED:
            self.status = Status.DISABLED
        self.reason, self.detail = None, ""

    def present(self, here: bool) -> None:
        """Note whether fresh joint states come; a latched stop stays latched."""
        if here and self.status is Status.OFFLINE:
            self.status = Status.DISABLED
        elif not here and self.status is Status.DISABLED:
            self.status = Status.OFFLINE

    def _forget_owner(self) -> None:
        if self.owner:
            self._leases.forget(self.owner)
        self.owner = ""
