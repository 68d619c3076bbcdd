"""Who may move the arm, and whether anything may: the machine of states with its leases."""

from __future__ import annotations

from collections.abc import Callable

from vla_sae_ros.core.errors import VlaSaeError
from vla_sae_ros.core.steering.lease import LeaseBook
from vla_sae_ros.robot.machine.events import Event, Kind, Verdict
from vla_sae_ros.robot.machine.facts import Memory
from vla_sae_ros.robot.machine.machine import Machine
from vla_sae_ros.robot.machine.states import STATUS
from vla_sae_ros.robot.reasons import Status


class EnableRefused(VlaSaeError):
    """The arm was not enabled, renewed or recovered; nothing has changed."""


class Admission:
    """Owned by one thread.

    Args:
        longest_lease: [s]
        clock: monotonic [s].
    """

    def __init__(self, longest_lease: float, clock: Callable[[], float]) -> None:
        self._machine = Machine(longest_lease)
        self._leases = LeaseBook(clock)

    @property
    def memory(self) -> Memory:
        """Return what the machine remembers; facts of the arm are written there."""
        return self._machine.memory

    @property
    def status(self) -> Status:
        """Return where the arm stands."""
        return STATUS[self._machine.state]

    @property
    def lease_left(self) -> float:
        """Return the seconds until the enable ends by itself; 0 when nobody holds it."""
        owner = self.memory.owner
        return self._leases.remaining(owner) if owner else 0.0

    def offline_because(self, why: str) -> None:
        """Note why there is no robot; empty: there is one."""
        self._machine.offline_because = why

    @property
    def offline_words(self) -> str:
        """Return why there is no robot, empty where that is not known."""
        return self._machine.offline_because

    def handle(self, event: Event) -> Verdict:
        """Let an event have its effect; leases follow the owner."""
        before = self.memory.owner
        verdict = self._machine.handle(event)
        if before and before != self.memory.owner:
            self._leases.forget(before)
        if not verdict.refusal and event.kind in (Kind.ENABLE, Kind.RENEW):
            self._leases.renew(event.owner, event.lease)
        return verdict
