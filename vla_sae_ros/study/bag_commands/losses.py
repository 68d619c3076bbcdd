"""Messages that a bag lacks, by the sequence numbers of those that it has."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from vla_sae_ros.bags.opened_bag import OpenedBag, messages
from vla_sae_ros.bags.timeline import Span, Timeline


@dataclass(frozen=True)
class Loss:
    """How complete one numbered sequence is."""

    sequence: str
    """E.g. "executed_action of libero_object-0-41-1f2e3d4c"."""
    present: int
    missing: int


def losses(bag: OpenedBag, timeline: Timeline) -> list[Loss]:
    """Return every numbered sequence of a bag: control ticks, inferences by site, chunk ids."""
    inferences: dict[str, list[int]] = defaultdict(list)
    for _, message in messages(bag, "policy/features"):
        inferences[f"policy/features of {message.site}"].append(message.inference)
    chunks: dict[str, list[int]] = defaultdict(list)
    for _, message in messages(bag, "policy/action_chunk"):
        chunks["policy/action_chunk"].append(message.chunk_id)
    return [
        *_ticks(bag, timeline),
        *(
            Loss(name, len(numbers), missing(numbers))
            for name, numbers in (inferences | chunks).items()
        ),
    ]


def missing(numbers: Iterable[int]) -> int:
    """Return how many numbers are left out between the first and the last.

    The numbers come in order of reception; where they fall, their sender was started again.
    """
    count, previous = 0, None
    for number in numbers:
        if previous is not None and number > previous:
            count += number - previous - 1
        previous = number
    return count


def _ticks(bag: OpenedBag, timeline: Timeline) -> list[Loss]:
    seen: dict[str, set[int]] = defaultdict(set)
    for _, message in messages(bag, "executed_action"):
        seen[message.episode_id].add(message.step)
    found = []
    for episode, span in timeline.spans.items():
        steps = seen[episode] | _ends(span)
        first = min(seen[episode], default=0)
        expected = max(steps, default=-1) + 1 - first
        found.append(
            Loss(f"executed_action of {episode}", len(seen[episode]), expected - len(seen[episode]))
        )
    return found


def _ends(span: Span) -> set[int]:
    """Return the last tick of an episode that has ended; nothing of one that still ran."""
    return {span.steps - 1} if span.status.ended and span.steps else set()
