"""What a bag holds and what it lacks, as plain data."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml
from rosbags.highlevel import AnyReader

from vla_sae_ros.bags.episode_trace import Annotation, SteeringNote
from vla_sae_ros.bags.reading import Description, descriptions, messages, open_bag
from vla_sae_ros.bags.timeline import (
    EVENT_KINDS,
    Span,
    Timeline,
    constants,
    stamp_of,
)
from vla_sae_ros.core.episode_status import EpisodeStatus
from vla_sae_ros.study.bag_commands.edits import EditWindow, edit_windows
from vla_sae_ros.study.bag_commands.losses import Loss, losses


@dataclass(frozen=True)
class TopicFacts:
    """One topic; times are times of reception."""

    name: str
    msgtype: str
    messages: int
    rate: float
    """[Hz] mean between the first and the last message; 0 with fewer than two."""
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
    """lockstep or realtime."""
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

    def as_data(self) -> dict[str, Any]:
        """Return everything as dictionaries, lists, texts and numbers."""
        return asdict(self)


def read_facts(folder: Path) -> BagFacts:
    """Read the bag in `folder`; RecordingError when it cannot be read."""
    with open_bag(folder) as reader:
        states = list(messages(reader, "episode"))
        timeline = Timeline(states)
        start = reader.start_time if reader.message_count else 0
        return BagFacts(
            folder=str(folder),
            bytes=sum(path.stat().st_size for path in folder.iterdir()),
            start_ns=start,
            seconds=reader.duration * 1e-9 if reader.message_count else 0.0,
            messages=reader.message_count,
            topics=_topics(reader, start),
            episodes=[_episode(span, start) for span in timeline.spans.values()],
            edits=edit_windows(list(messages(reader, "steering/state")), timeline),
            refusals=_refusals(reader, timeline),
            losses=losses(reader, timeline),
            recorder=custom_data(folder),
            descriptions=list(descriptions(reader)),
            annotations=[
                Annotation(each.episode_id, each.step, each.author, each.text)
                for _, each in messages(reader, "annotation")
            ],
        )


def custom_data(folder: Path) -> dict[str, str]:
    """Return the custom data of a bag's metadata."""
    metadata = yaml.safe_load((folder / "metadata.yaml").read_text(encoding="utf-8"))
    return metadata["rosbag2_bagfile_information"].get("custom_data") or {}


def _topics(reader: AnyReader, start: int) -> list[TopicFacts]:
    types = {c.topic: c.msgtype for c in reader.connections}
    times: dict[str, list[int]] = {topic: [] for topic in sorted(types)}
    for connection, received, _ in reader.messages():
        times[connection.topic].append(received)
    return [_topic(topic, types[topic], each, start) for topic, each in times.items()]


def _topic(name: str, msgtype: str, times: list[int], start: int) -> TopicFacts:
    if len(times) < 2:
        return TopicFacts(name, msgtype, len(times), 0.0, 0.0, 0.0)
    gap, begin = max((later - time, time) for time, later in pairwise(times))
    span = max(times[-1] - times[0], 1) * 1e-9
    return TopicFacts(
        name, msgtype, len(times), (len(times) - 1) / span, gap * 1e-9, (begin - start) * 1e-9
    )


def _episode(span: Span, start: int) -> EpisodeFacts:
    state = span.last
    clocks = constants(state, ("LOCKSTEP", "REALTIME"))
    return EpisodeFacts(
        state.episode_id,
        state.suite,
        state.task,
        state.instruction,
        state.init_state,
        state.seed,
        clocks[state.clock].lower(),
        EpisodeStatus(state.status).name,
        state.step,
        state.max_steps,
        state.missed_deadlines,
        state.held_ticks,
        state.dropped_chunks,
        (span.first_received - start) * 1e-9,
        (span.last_received - start) * 1e-9,
    )


def _refusals(reader: AnyReader, timeline: Timeline) -> list[SteeringNote]:
    found = []
    for received, event in messages(reader, "steering/events"):
        if (kind := constants(event, EVENT_KINDS)[event.kind]) == "REFUSED":
            _, step = timeline.place(stamp_of(event), received) or ("", -1)
            found.append(
                SteeringNote(
                    step,
                    kind,
                    event.owner,
                    event.site,
                    event.feature,
                    float(event.from_value),
                    float(event.to_value),
                    event.reason,
                )
            )
    return found
