"""What a bag holds and what it lacks, as plain data."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from vla_sae_ros.bags.drafts import steering_note
from vla_sae_ros.bags.episode_trace import Annotation, SteeringNote
from vla_sae_ros.bags.opened_bag import OpenedBag, messages, open_bag
from vla_sae_ros.bags.reading import Description, descriptions, remarks_of, timeline_of
from vla_sae_ros.bags.timeline import Span, Timeline, stamp_of
from vla_sae_ros.study.bag_commands.edits import EditWindow, edit_windows
from vla_sae_ros.study.bag_commands.losses import Loss, losses

_SHORTEST_GAP = 10_000
"""[ns] a mean gap shorter than this is no rate of messages, but that of a clock."""
_SHORTEST_SPAN = 100_000_000
"""[ns] messages that all came within this, as those of several nodes that start, have no rate."""


@dataclass(frozen=True)
class TopicFacts:
    """One topic; times are times of reception."""

    name: str
    msgtype: str
    messages: int
    rate: float
    """[Hz] mean between the first and the last message; NaN where that means nothing: with fewer
    than three messages, or when their times are equal or jump back."""
    longest_gap: float
    """[s] between two messages in a row; 0 with fewer than two."""
    longest_gap_at: float
    """[s] since the bag's first message."""


@dataclass(frozen=True)
class EpisodeFacts:
    """One episode."""

    episode_id: str
    suite: str
    task: int
    instruction: str
    init_state: int
    seed: int
    clock: str
    """lockstep, realtime or unknown."""
    status: str
    steps: int
    max_steps: int
    missed_deadlines: int
    held_ticks: int
    dropped_chunks: int
    begin: float
    """[s] since the bag's first message."""
    end: float
    """[s] since the bag's first message."""
    instructions: tuple[tuple[int, str], ...] = ()
    """What the policy was told, from which step on."""


@dataclass(frozen=True)
class BagFacts:
    """One bag."""

    folder: str
    bytes: int
    """Of its files."""
    start_ns: int
    """Time of reception of the first message; 0 without one."""
    seconds: float
    messages: int
    topics: list[TopicFacts]
    episodes: list[EpisodeFacts]
    edits: list[EditWindow]
    refusals: list[SteeringNote]
    """Steering requests that were refused; `step` is -1 outside an episode."""
    losses: list[Loss]
    recorder: dict[str, str]
    """What the recorder noted in the metadata: how the recording ended, what it dropped."""
    descriptions: list[Description]
    annotations: list[Annotation]
    namespace: str
    """Of the system that the rest is about; empty for /."""
    left_out: list[str]
    """In words: what could not be read, and how much."""
    changed: list[str]
    """In words: what is read otherwise than it was recorded."""
    notes: list[str]
    """In words: what is unusual, and complete."""

    def as_data(self) -> dict[str, Any]:
        """Return everything as dictionaries, lists, texts and numbers."""
        return asdict(self)


def read_facts(folder: Path, namespace: str | None = None) -> tuple[BagFacts, int]:
    """Read the bag in `folder`; return also the exit status: whether all of it could be read.

    Raises RecordingError when there is no bag.
    """
    with open_bag(folder, namespace) as bag:
        timeline = timeline_of(bag)
        start = bag.start_time
        topics = _topics(bag, start)
        edits = edit_windows(list(messages(bag, "steering/state")), timeline)
        refusals = _refusals(bag, timeline)
        missing = losses(bag, timeline)
        facts = BagFacts(
            folder=str(folder),
            bytes=sum(path.stat().st_size for path in folder.iterdir()),
            start_ns=start,
            seconds=bag.duration * 1e-9,
            messages=bag.message_count,
            topics=topics,
            episodes=[_episode(span, start) for span in timeline.spans.values()],
            edits=edits,
            refusals=refusals,
            losses=missing,
            recorder=dict(bag.metadata.custom),
            descriptions=list(descriptions(bag)),
            annotations=list(remarks_of(bag)),
            namespace=bag.namespace,
            left_out=list(bag.findings.lost()),
            changed=list(bag.findings.changed()),
            notes=list(bag.findings.notes),
        )
        return facts, bag.findings.status


def _topics(bag: OpenedBag, start: int) -> list[TopicFacts]:
    """Count the messages of every topic; each is decoded, to find those that cannot be."""
    for _ in bag.decoded():
        pass
    types = {c.topic: c.msgtype for c in bag.connections}
    times: dict[str, list[int]] = {topic: [] for topic in sorted(types)}
    for connection, received, _ in bag.messages():
        times[connection.topic].append(received)
    return [_topic(topic, types[topic], each, start) for topic, each in times.items()]


def _topic(name: str, msgtype: str, times: list[int], start: int) -> TopicFacts:
    if len(times) < 2:
        return TopicFacts(name, msgtype, len(times), math.nan, 0.0, 0.0)
    gap, begin = max((later - time, time) for time, later in pairwise(times))
    return TopicFacts(
        name, msgtype, len(times), _rate(times), max(gap, 0) * 1e-9, (begin - start) * 1e-9
    )


def _rate(times: list[int]) -> float:
    """Return messages per second, NaN where that means nothing."""
    gaps = [later - time for time, later in pairwise(times)]
    same = sum(gap == 0 for gap in gaps)
    span = times[-1] - times[0]
    shortest = max(_SHORTEST_SPAN, len(gaps) * _SHORTEST_GAP)
    if len(times) < 3 or min(gaps) < 0 or 2 * same > len(gaps) or span < shortest:
        return math.nan
    return len(gaps) / (span * 1e-9)


def _episode(span: Span, start: int) -> EpisodeFacts:
    return EpisodeFacts(
        span.episode_id,
        span.suite,
        span.task,
        span.instruction,
        span.init_state,
        span.seed,
        span.clock.lower(),
        span.status.name,
        span.steps,
        span.max_steps,
        span.missed_deadlines,
        span.held_ticks,
        span.dropped_chunks,
        (span.first_received - start) * 1e-9,
        (span.last_received - start) * 1e-9,
        span.instructions,
    )


def _refusals(bag: OpenedBag, timeline: Timeline) -> list[SteeringNote]:
    notes = []
    for received, event in messages(bag, "steering/events"):
        _, step = timeline.place(stamp_of(event), received) or ("", -1)
        notes.append(steering_note(event, step, (received - bag.start_time) * 1e-9))
    return [note for note in notes if note.kind == "REFUSED"]
