"""Read a bag of the recorder into plain arrays, without any ROS installation."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rosbags.highlevel import AnyReader, AnyReaderError

from vla_sae_ros.core.catalogue import Catalogue, FeatureEntry
from vla_sae_ros.core.errors import RecordingError, complaint
from vla_sae_ros.study.traces import (
    EditSnapshot,
    EpisodeTrace,
    FeatureStream,
    Picture,
    Series,
    SteeringNote,
    SteeringSnapshot,
)

# Messages of different topics may be recorded in another order than they were sent.
_DISORDER_NS = 10**9
_PICTURES = "observation/image/"


@dataclass(frozen=True)
class Bag:
    """The content of one bag."""

    episodes: tuple[EpisodeTrace, ...]
    """In the order of their start."""
    catalogues: dict[str, Catalogue]
    """By site."""


def read_bag(folder: Path, pictures: bool = True) -> Bag:
    """Read the bag in `folder`; without `pictures` the camera images are skipped.

    Raises RecordingError when there is no bag or it was never closed.
    """
    with open_bag(folder) as reader:
        return _read(reader, pictures)


@contextmanager
def open_bag(folder: Path) -> Iterator[AnyReader]:
    """Open the bag in `folder` for the time of a with statement.

    Raises RecordingError when there is no bag, it was never closed or it cannot be read.
    """
    if not (folder / "metadata.yaml").exists():
        raise RecordingError(
            complaint("not a complete bag", str(folder), "a folder with metadata.yaml",
                      "Stop a recording (record/stop) before reading it.")
        )
    try:
        with AnyReader([folder]) as reader:
            yield reader
    except AnyReaderError as error:
        raise RecordingError(f"the bag {folder} cannot be read: {error}") from error


def _read(reader: AnyReader, pictures: bool) -> Bag:
    timeline = _Timeline([message for _, message in _messages(reader, "episode")],
                         [stamp for stamp, _ in _messages(reader, "episode")])
    drafts = {episode: _Draft() for episode in timeline.spans}
    for name in ("executed_action", "policy/features"):
        for _, message in _messages(reader, name):
            if message.episode_id in drafts:
                drafts[message.episode_id].by_name[name].append(message)
    for name in ("ee_pose", "gripper", "joint_states", "steering/state", "steering/events"):
        for received, message in _messages(reader, name):
            if (place := timeline.place(_stamp(message), received)) is not None:
                drafts[place[0]].by_name[name].append((place[1], message))
    if pictures:
        _read_pictures(reader, timeline, drafts)
    episodes = [_finish(timeline.spans[episode], draft) for episode, draft in drafts.items()]
    return Bag(tuple(episodes), _catalogues(reader))


@dataclass
class _Span:
    """Where an episode lies in time; `last` is its last EpisodeState."""

    last: Any
    start_ns: int
    first_received: int
    last_received: int


@dataclass
class _Draft:
    """Messages of one episode, and its pictures by camera and step."""

    by_name: dict[str, list[Any]] = field(default_factory=lambda: defaultdict(list))
    pictures: dict[str, dict[int, Picture]] = field(default_factory=lambda: defaultdict(dict))


class _Timeline:
    """Tells to which episode and step a message without an episode id belongs."""

    def __init__(self, states: list[Any], received: list[int]) -> None:
        self.spans: dict[str, _Span] = {}
        for state, at in zip(states, received, strict=True):
            if not state.episode_id:
                continue
            span = self.spans.setdefault(
                state.episode_id, _Span(state, _nanoseconds(state.start), at, at))
            span.last, span.last_received = state, at
            span.start_ns = _nanoseconds(state.start) or span.start_ns

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


def _messages(reader: AnyReader, name: str) -> Iterator[tuple[int, Any]]:
    """Yield (time of reception [ns], message) of a relative topic, in any namespace."""
    connections = [c for c in reader.connections if f"/{c.topic}".endswith(f"/{name}")]
    if connections:
        for connection, received, raw in reader.messages(connections):
            yield received, reader.deserialize(raw, connection.msgtype)


def _read_pictures(
    reader: AnyReader, timeline: _Timeline, drafts: dict[str, _Draft]
) -> None:
    connections = [c for c in reader.connections
                   if _PICTURES in c.topic and c.msgtype == "sensor_msgs/msg/Image"]
    if not connections:
        return
    for connection, received, raw in reader.messages(connections):
        message: Any = reader.deserialize(raw, connection.msgtype)
        place = timeline.place(_stamp(message), received)
        if place is not None:
            camera = connection.topic.split(_PICTURES, 1)[1]
            drafts[place[0]].pictures[camera][place[1]] = _picture(message, connection.topic)


def _picture(message: Any, topic: str) -> Picture:
    if message.encoding not in ("rgb8", "bgr8"):
        raise RecordingError(complaint(f"pictures on {topic}", message.encoding, "rgb8 or bgr8"))
    rows = message.data.reshape(message.height, message.step)[:, : 3 * message.width]
    picture: Picture = rows.reshape(message.height, message.width, 3)
    return picture[..., ::-1] if message.encoding == "bgr8" else picture


def _finish(span: _Span, draft: _Draft) -> EpisodeTrace:
    state = span.last
    actions = draft.by_name["executed_action"]
    statuses = _constants(state, ("IDLE", "RESETTING", "RUNNING", "HOLDING", "SUCCEEDED", "FAILED",
                                  "CANCELED", "ERROR"))
    return EpisodeTrace(
        episode_id=state.episode_id, suite=state.suite, task=state.task,
        instruction=state.instruction, init_state=state.init_state, seed=state.seed,
        control_rate=state.control_rate, status=statuses[state.status], steps=state.step,
        action_step=np.array([each.step for each in actions], np.int64),
        actions=_stacked([each.action for each in actions]).astype(np.float32),
        held=np.array([each.held for each in actions], bool),
        position=_series(draft.by_name["ee_pose"], lambda m: _xyz(m.pose.position)),
        quaternion=_series(draft.by_name["ee_pose"],
                           lambda m: [*_xyz(m.pose.orientation), m.pose.orientation.w]),
        gripper=_series(draft.by_name["gripper"], lambda m: m.position),
        joints=_series(draft.by_name["joint_states"], lambda m: m.position),
        features=_streams(draft.by_name["policy/features"]),
        pictures={camera: dict(frames) for camera, frames in draft.pictures.items()},
        steering=tuple(_snapshot(*each) for each in draft.by_name["steering/state"]),
        notes=tuple(_note(*each) for each in draft.by_name["steering/events"]),
    )


def _series(placed: list[tuple[int, Any]], values: Any) -> Series:
    """Return one row per step, the last message of each, in the order of the steps."""
    rows = {step: values(message) for step, message in placed}
    steps = sorted(rows)
    return Series(np.array(steps, np.int64), _stacked([rows[step] for step in steps]))


def _stacked(rows: list[Any]) -> np.ndarray:
    return np.array(rows, np.float64) if rows else np.zeros((0, 0))


def _streams(messages: list[Any]) -> dict[str, FeatureStream]:
    by_site: dict[str, list[Any]] = defaultdict(list)
    for message in messages:
        by_site[message.site].append(message)
    return {site: _stream(site, each) for site, each in sorted(by_site.items())}


def _stream(site: str, messages: list[Any]) -> FeatureStream:
    messages = sorted(messages, key=lambda message: message.inference)

    def column(name: str, dtype: Any) -> Any:
        return np.array([getattr(message, name) for message in messages], dtype)

    def joined(name: str) -> Any:
        return np.concatenate([getattr(message, name) for message in messages])

    sizes = [len(message.index) for message in messages]
    return FeatureStream(
        site=site, step=column("observation_step", np.int64),
        inference=column("inference", np.uint64), revision=column("steering_revision", np.uint64),
        offset=np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
        index=joined("index"), natural=joined("natural"), applied=joined("applied"),
        fvu=column("fvu", np.float32), edit_norm_ratio=column("edit_norm_ratio", np.float32),
        capped=column("capped", bool), bypassed=column("bypassed", bool),
    )


def _snapshot(step: int, message: Any) -> SteeringSnapshot:
    edits = tuple(
        EditSnapshot(each.edit.site, each.edit.feature, each.owner, each.commanded, each.applied,
                     each.weight)
        for each in message.edits
    )
    return SteeringSnapshot(step, message.revision, message.bypass, edits)


def _note(step: int, message: Any) -> SteeringNote:
    kinds = _constants(message, ("SET", "REFUSED", "RELEASED", "LEASE_EXPIRED", "BYPASS", "RESET",
                                 "PRESET", "CAPPED", "REMOVED"))
    return SteeringNote(step, kinds[message.kind], message.owner, message.site, message.feature,
                        message.from_value, message.to_value, message.reason)


def _constants(message: Any, names: tuple[str, ...]) -> dict[int, str]:
    """Return value -> name of the message type's own constants, as recorded in the bag."""
    return {getattr(message, name): name for name in names}


def _catalogues(reader: AnyReader) -> dict[str, Catalogue]:
    entries: dict[str, list[FeatureEntry]] = {}
    for _, message in _messages(reader, "policy/catalogue"):  # the last one holds
        entries = {site: [] for site in message.sites}
        for each in message.features:
            entries.setdefault(each.site, []).append(
                FeatureEntry(each.feature, each.label, each.description, each.feature_class,
                             float(each.observed_max), float(each.coverage)))
    return {site: Catalogue(site, each) for site, each in entries.items()}


def _xyz(vector: Any) -> list[float]:
    return [vector.x, vector.y, vector.z]


def _stamp(message: Any) -> int:
    return _nanoseconds(message.header.stamp)


def _nanoseconds(stamp: Any) -> int:
    return int(stamp.sec) * 10**9 + int(stamp.nanosec)
