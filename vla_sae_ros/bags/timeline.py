"""To which episode and control step of a bag a message belongs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from vla_sae_ros.core.commander import Commander
from vla_sae_ros.core.episode_status import EpisodeStatus
from vla_sae_ros.core.steering import EventKind

# Messages of different topics may be recorded in another order than they were sent.
_DISORDER_NS = 10**9
UNKNOWN = "UNKNOWN"


@dataclass(frozen=True)
class Span:
    """One episode: what its last EpisodeState says, and where it lies in time."""

    episode_id: str
    start_ns: int
    """Stamp of the first observation."""
    first_received: int
    last_received: int
    steps: int = 0
    """Executed control ticks."""
    control_rate: float = 0.0
    """[Hz]; 0 when it is not known."""
    status: EpisodeStatus = EpisodeStatus.UNKNOWN
    suite: str = ""
    task: int = -1
    instruction: str = ""
    init_state: int = -1
    seed: int = 0
    clock: str = UNKNOWN
    max_steps: int = 0
    missed_deadlines: int = 0
    held_ticks: int = 0
    dropped_chunks: int = 0
    told: bool = False
    """An EpisodeState of it was recorded."""
    instructions: tuple[tuple[int, str], ...] = ()
    """What the policy was told, from which executed control tick on; the first from 0."""

    def instruction_at(self, step: int) -> str:
        """Return what the policy was told at a control tick."""
        said = [text for since, text in self.instructions if since <= step]
        return said[-1] if said else self.instruction


class Tick(NamedTuple):
    """A message that says itself to which episode and step it belongs."""

    episode_id: str
    step: int
    stamp_ns: int
    received: int


class Timeline:
    """Tells to which episode and step a message without an episode id belongs."""

    def __init__(self, states: Iterable[tuple[int, Any]], ticks: Iterable[Tick] = ()) -> None:
        """Find every episode of a bag.

        Args:
            states: every EpisodeState with its time of reception [ns].
            ticks: of messages that name an episode; an episode that no state tells of is known by
                them, its start and rate are reckoned from their stamps.
        """
        self.spans: dict[str, Span] = {}
        for received, state in states:
            if state.episode_id:
                self._add(received, state)
        others: dict[str, list[Tick]] = defaultdict(list)
        for tick in ticks:
            if tick.episode_id and tick.episode_id not in self.spans:
                others[tick.episode_id].append(tick)
        self.spans |= {episode: _reckoned(episode, found) for episode, found in others.items()}
        if others:
            by_time = sorted(self.spans.items(), key=lambda item: item[1].first_received)
            self.spans = dict(by_time)

    def place(self, stamp_ns: int, received: int) -> tuple[str, int] | None:
        """Return (episode id, step) or None.

        In lockstep simulation time may run ahead of the wall clock, so that the stamps of two
        episodes overlap: the time of reception decides between them.
        """
        best: tuple[int, str, int] | None = None
        for episode, span in self.spans.items():
            step = (stamp_ns - span.start_ns) * 1e-9 * span.control_rate
            outside = _outside(span, received)
            if not -0.5 <= step <= span.steps + 1.5 or outside > _DISORDER_NS:
                continue
            if best is None or outside < best[0]:
                best = outside, episode, round(step)
        return None if best is None else best[1:]

    def receiving(self, received: int) -> str:
        """Return the id of the episode that ran at a time of reception [ns]; empty: none did."""
        for episode, span in self.spans.items():
            if not _outside(span, received):
                return episode
        return ""

    def _add(self, received: int, state: Any) -> None:
        start = nanoseconds(state.start)
        known = self.spans.get(state.episode_id)
        first = min(known.first_received, received) if known else received
        last = max(known.last_received, received) if known else received
        self.spans[state.episode_id] = Span(
            state.episode_id,
            start or (known.start_ns if known else 0),
            first,
            last,
            int(state.step),
            float(state.control_rate),
            EpisodeStatus(state.status),
            state.suite,
            int(state.task),
            state.instruction,
            int(state.init_state),
            int(state.seed),
            name_of(state, ("LOCKSTEP", "REALTIME"), state.clock).lower(),
            int(state.max_steps),
            int(state.missed_deadlines),
            int(state.held_ticks),
            int(state.dropped_chunks),
            told=True,
            instructions=_told(known.instructions if known else (), state),
        )


def _told(before: tuple[tuple[int, str], ...], state: Any) -> tuple[tuple[int, str], ...]:
    """Return the instructions so far with a state's; what is said before tick 1 is the first."""
    if before and before[-1][1] == state.instruction:
        return before
    if not before or (int(state.step) <= 0 and not getattr(state, "instruction_revision", 0)):
        return ((0, state.instruction),)
    return (*before, (int(state.step), state.instruction))


def _outside(span: Span, received: int) -> int:
    return max(span.first_received - received, received - span.last_received, 0)


def _reckoned(episode: str, ticks: Sequence[Tick]) -> Span:
    """Return an episode that only actions and features tell of."""
    times = [tick.received for tick in ticks]
    first = min(ticks, key=lambda tick: (tick.step, tick.stamp_ns))
    last = max(ticks, key=lambda tick: (tick.step, tick.stamp_ns))
    span = Span(episode, first.stamp_ns, min(times), max(times), max(last.step + 1, 0))
    passed = (last.stamp_ns - first.stamp_ns) * 1e-9
    if passed <= 0 or last.step <= first.step:
        return span
    rate = (last.step - first.step) / passed
    start = first.stamp_ns - round(first.step / rate * 1e9)
    return replace(span, start_ns=start, control_rate=rate)


def commander_of(action: Any) -> Commander:
    """Return who commanded an ExecutedAction; an older one says only whether it was held."""
    source = getattr(action, "source", None)
    if source is None:
        return Commander.HOLD if action.held else Commander.POLICY
    return Commander(source) if source in set(Commander) else Commander.HOLD


def stamp_of(message: Any) -> int:
    """Return the stamp of a message's header [ns]."""
    return nanoseconds(message.header.stamp)


def nanoseconds(stamp: Any) -> int:
    """Return a builtin_interfaces/Time as one number [ns]."""
    return int(stamp.sec) * 10**9 + int(stamp.nanosec)


def name_of(message: Any, names: Sequence[str], value: int) -> str:
    """Return which of a type's own constants, as defined in the bag, has this value.

    "UNKNOWN_<value>" for a value that a newer version of this package wrote.
    """
    for name in names:
        if getattr(message, name, None) == value:
            return name
    return f"{UNKNOWN}_{value}"


EVENT_KINDS = tuple(kind.name for kind in EventKind)
