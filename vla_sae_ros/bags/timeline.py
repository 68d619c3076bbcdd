"""To which episode and control step of a bag a message belongs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

# Messages of different topics may be recorded in another order than they were sent.
_DISORDER_NS = 10**9


@dataclass
class Span:
    """Where an episode lies in time; `last` is its last EpisodeState."""

    last: Any
    start_ns: int
    """Stamp of the first observation."""
    first_received: int
    last_received: int


class Timeline:
    """Tells to which episode and step a message without an episode id belongs."""

    def __init__(self, states: list[tuple[int, Any]]) -> None:
        """Take every EpisodeState of the bag with its time of reception [ns]."""
        self.spans: dict[str, Span] = {}
        for received, state in states:
            if not state.episode_id:
                continue
            start = nanoseconds(state.start)
            span = self.spans.setdefault(state.episode_id, Span(state, start, received, received))
            span.last, span.last_received = state, received
            span.start_ns = start or span.start_ns

    def place(self, stamp_ns: int, received: int) -> tuple[str, int] | None:
        """Return (episode id, step) or None.

        In lockstep simulation time may run ahead of the wall clock, so that the stamps of two
        episodes overlap: the time of reception decides between them.
        """
        best: tuple[int, str, int] | None = None
        for episode, span in self.spans.items():
            step = (stamp_ns - span.start_ns) * 1e-9 * span.last.control_rate
            outside = max(span.first_received - received, received - span.last_received, 0)
            if not -0.5 <= step <= span.last.step + 1.5 or outside > _DISORDER_NS:
                continue
            if best is None or outside < best[0]:
                best = outside, episode, round(step)
        return None if best is None else best[1:]


def stamp_of(message: Any) -> int:
    """Return the stamp of a message's header [ns]."""
    return nanoseconds(message.header.stamp)


def nanoseconds(stamp: Any) -> int:
    """Return a builtin_interfaces/Time as one number [ns]."""
    return int(stamp.sec) * 10**9 + int(stamp.nanosec)


def constants(message: Any, names: tuple[str, ...]) -> dict[int, str]:
    """Return value -> name of the message type's own constants, as recorded in the bag."""
    return {getattr(message, name): name for name in names}


EVENT_KINDS = (
    "SET",
    "REFUSED",
    "RELEASED",
    "LEASE_EXPIRED",
    "BYPASS",
    "RESET",
    "PRESET",
    "CAPPED",
    "REMOVED",
)
