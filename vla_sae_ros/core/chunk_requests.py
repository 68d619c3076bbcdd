"""When the next action chunk is asked for; nothing here knows what time it is."""

from __future__ import annotations

from enum import Enum

from vla_sae_ros.core.chunk_queue import Chunk


class Due(Enum):
    """Whether to ask for a chunk now."""

    NO = 0
    YES = 1
    AGAIN = 2
    """The request before this one was not answered in time."""


class ChunkRequests:
    """Remembers what was asked for last and says when it is time to ask again.

    Steps are control ticks, times seconds of any clock that never jumps.

    Args:
        execute_steps: ticks of a chunk that are executed before the next one is due (the open-loop
            horizon); a longer chunk goes on until the next one is there.
        lead: the next chunk is asked for at least so many ticks before the present one ends.
        resend_after: [s] after which a request without an answer is made again.
    """

    def __init__(self, execute_steps: int, lead: int, resend_after: float) -> None:
        self._execute_steps, self._lead, self._resend_after = execute_steps, lead, resend_after
        self.step = 0
        """Of the request made last."""
        self.at = float("-inf")
        """[s] when it was made."""
        self._anew = False

    def asked(self, step: int, now: float) -> None:
        """Note that a chunk was asked for."""
        self.step, self.at, self._anew = step, now, False

    def anew(self) -> None:
        """Let a chunk be asked for at the next tick, whatever was asked for before."""
        self._anew = True

    def answered_in_vain(self) -> None:
        """Note that the answer came and could not be used: it is due again at once."""
        self.at = float("-inf")

    def is_answered(self, newest: Chunk | None) -> bool:
        """Return whether the newest chunk answers the request made last."""
        return newest is not None and newest.observation_step >= self.step

    def is_used_up(self, step: int, newest: Chunk | None, lead: int) -> bool:
        """Return whether the newest chunk had its share, or ends within lead ticks."""
        return (
            self._anew
            or newest is None
            or step >= self.step + self._execute_steps
            or step >= newest.end - lead
        )

    def due(self, step: int, now: float, newest: Chunk | None) -> Due:
        """Say whether to ask, early enough that the present chunk does not run dry."""
        if self._anew:
            return Due.YES
        if self.is_answered(newest):
            return Due.YES if self.is_used_up(step, newest, self._lead) else Due.NO
        return Due.AGAIN if now - self.at > self._resend_after else Due.NO
