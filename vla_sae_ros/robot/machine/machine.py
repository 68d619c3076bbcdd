"""What carries out the table."""

from __future__ import annotations

from collections.abc import Sequence

from vla_sae_ros.robot.machine.events import Event, Kind, Settled, Verdict
from vla_sae_ros.robot.machine.facts import Memory
from vla_sae_ros.robot.machine.states import State
from vla_sae_ros.robot.machine.table import REFUSALS, TABLE, Row

_ENDS_RECOVERY = {Kind.STOP, Kind.RECOVERED, Kind.FAILED, Kind.LATE}


class Machine:
    """One arm's; whoever owns it hands it one event at a time and does what the verdict says.

    Args:
        longest_lease: [s]
        rows: the transitions.
    """

    def __init__(self, longest_lease: float, rows: Sequence[Row] = TABLE) -> None:
        self._longest = longest_lease
        self._rows = rows
        self.memory = Memory()
        self.offline_because = ""
        """Why there is no robot, in words; said to who asks for it."""

    @property
    def state(self) -> State:
        """Return where the arm stands."""
        return self.memory.state

    def handle(self, event: Event) -> Verdict:
        """Let an event have its effect, or refuse it; a refusal changes nothing else."""
        memory, before = self.memory, self.memory.state
        row = self._row(event)
        if row is None:
            return Verdict(self._words(event))
        for guard in row.guards:
            refusal = guard(memory, event, self._longest)
            if refusal:
                return self._refuse(row, event, refusal)
        for effect in row.effects:
            effect(memory, event)
        memory.state = memory.state if row.to is None else row.to
        settled = self._settle(event, before)
        return Verdict(actions=row.actions, settled=settled)

    def _row(self, event: Event) -> Row | None:
        for row in self._rows:
            if event.kind is row.kind and self.memory.state in row.states:
                return row
        return None

    def _refuse(self, row: Row, event: Event, refusal: str) -> Verdict:
        if row.otherwise is None:
            return Verdict(refusal)
        self.memory.state, self.memory.driver_busy = row.otherwise, False
        asked, self.memory.recovering = self.memory.recovering, None
        return Verdict(refusal, settled=None if asked is None else Settled(asked, refusal))

    def _settle(self, event: Event, before: State) -> Settled | None:
        """Answer who waits for a recovery that this event has ended, one way or the other."""
        memory = self.memory
        if before is not State.RECOVERING or event.kind not in _ENDS_RECOVERY:
            return None
        asked, memory.recovering = memory.recovering, None
        if asked is None:
            return None
        failed = event.detail or "The robot could not recover."
        return Settled(asked, _WHY_NOT.get(event.kind, failed))

    def _words(self, event: Event) -> str:
        memory = self.memory
        if event.kind is Kind.RENEW:
            return f"The arm is not enabled by {event.owner!r}. Enable it first."
        words = REFUSALS.get((memory.state, event.kind), "The arm is {state}: nothing was changed.")
        return words.format(
            state=memory.state,
            reason=f"{memory.reason}: {memory.detail}",
            owner=memory.owner,
            why=f" {self.offline_because}" if self.offline_because else "",
        )


_WHY_NOT = {
    Kind.STOP: "The arm was stopped during the recovery. Check it, then recover again.",
    Kind.RECOVERED: "",
    Kind.LATE: (
        "The robot did not recover in time and may still be recovering. It stays stopped. Check "
        "it, then recover again."
    ),
}
