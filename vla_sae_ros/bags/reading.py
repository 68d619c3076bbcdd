"""Read a bag of the recorder into plain arrays, without any ROS installation."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
from rosbags.highlevel import AnyReader, AnyReaderError

from vla_sae_ros.bags.episode_trace import (
    Annotation,
    EditSnapshot,
    EpisodeTrace,
    FeatureStream,
    Picture,
    Series,
    SteeringNote,
    SteeringSnapshot,
)
from vla_sae_ros.bags.pictures import HEATMAP, camera_of, picture_of
from vla_sae_ros.bags.timeline import (
    EVENT_KINDS,
    Span,
    Timeline,
    constants,
    stamp_of,
)
from vla_sae_ros.core.catalogue import Catalogue, FeatureEntry
from vla_sae_ros.core.episode_status import EpisodeStatus
from vla_sae_ros.core.errors import RecordingError, complaint


@dataclass(frozen=True)
class Bag:
    """The content of one bag."""

    episodes: tuple[EpisodeTrace, ...]
    """In the order of their start."""
    catalogues: dict[str, Catalogue]
    """By site."""
    descriptions: tuple[Description, ...] = ()
    """What each node said about itself, in the order of arrival; a node that was started again
    appears again."""
    annotations: tuple[Annotation, ...] = ()
    """Every remark, also those outside an episode, in the order of arrival."""


@dataclass(frozen=True)
class Description:
    """A node's description of itself."""

    node: str
    """Full name."""
    software_version: str
    values: dict[str, str]
    """E.g. "policy_id", "clock", "parameter.control_rate"."""


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
    if not folder.is_dir():
        raise RecordingError(complaint("no such folder", str(folder), "the folder of a bag"))
    if not (folder / "metadata.yaml").exists():
        raise RecordingError(
            complaint(
                "not a complete bag",
                str(folder),
                "a folder with metadata.yaml",
                "Stop a recording (record/stop) before reading it; "
                "what a killed recorder left is mended by `vla-sae bag repair`.",
            )
        )
    try:
        with AnyReader([folder]) as reader:
            yield reader
    except AnyReaderError as error:
        raise RecordingError(f"the bag {folder} cannot be read: {error}") from error


def messages(reader: AnyReader, name: str) -> Iterator[tuple[int, Any]]:
    """Yield (time of reception [ns], message) of a relative topic, in any namespace."""
    connections = [c for c in reader.connections if f"/{c.topic}".endswith(f"/{name}")]
    if connections:
        for connection, received, raw in reader.messages(connections):
            yield received, reader.deserialize(raw, connection.msgtype)


def _read(reader: AnyReader, pictures: bool) -> Bag:
    timeline = Timeline(list(messages(reader, "episode")))
    drafts = {episode: _Draft() for episode in timeline.spans}
    for name in ("executed_action", "policy/features"):
        for _, message in messages(reader, name):
            if message.episode_id in drafts:
                drafts[message.episode_id].by_name[name].append(message)
    for name in ("ee_pose", "gripper", "joint_states", "steering/state", "steering/events"):
        for received, message in messages(reader, name):
            if (place := timeline.place(stamp_of(message), received)) is not None:
                drafts[place[0]].by_name[name].append((place[1], message))
    if pictures:
        _read_pictures(reader, timeline, drafts)
    annotations = tuple(_annotation(message) for _, message in messages(reader, "annotation"))
    episodes = [
        _finish(timeline.spans[episode], draft, annotations) for episode, draft in drafts.items()
    ]
    return Bag(tuple(episodes), _catalogues(reader), descriptions(reader), annotations)


def descriptions(reader: AnyReader) -> tuple[Description, ...]:
    """Return what the nodes said about themselves, in the order of arrival."""
    return tuple(
        Description(
            each.node, each.software_version, dict(zip(each.names, each.values, strict=True))
        )
        for _, each in messages(reader, "description")
    )


@dataclass
class _Draft:
    """Messages of one episode, and its pictures by camera and step."""

    by_name: dict[str, list[Any]] = field(default_factory=lambda: defaultdict(list))
    pictures: dict[str, dict[int, Picture]] = field(default_factory=lambda: defaultdict(dict))
    heatmaps: dict[int, Picture] = field(default_factory=dict)


def _read_pictures(reader: AnyReader, timeline: Timeline, drafts: dict[str, _Draft]) -> None:
    wanted = [c for c in reader.connections if camera_of(c.topic, c.msgtype) or HEATMAP in c.topic]
    if not wanted:
        return
    for connection, received, raw in reader.messages(wanted):
        message: Any = reader.deserialize(raw, connection.msgtype)
        place = timeline.place(stamp_of(message), received)
        if place is None:
            continue
        draft = drafts[place[0]]
        camera = camera_of(connection.topic, connection.msgtype)
        frames = draft.pictures[camera] if camera else draft.heatmaps
        frames[place[1]] = picture_of(message, connection.topic)


def _finish(span: Span, draft: _Draft, annotations: tuple[Annotation, ...]) -> EpisodeTrace:
    state = span.last
    actions = draft.by_name["executed_action"]
    return EpisodeTrace(
        episode_id=state.episode_id,
        suite=state.suite,
        task=state.task,
        instruction=state.instruction,
        init_state=state.init_state,
        seed=state.seed,
        control_rate=state.control_rate,
        status=EpisodeStatus(state.status),
        steps=state.step,
        action_step=np.array([each.step for each in actions], np.int64),
        actions=_stacked([each.action for each in actions]).astype(np.float32),
        held=np.array([each.held for each in actions], bool),
        action_revision=np.array([each.steering_revision for each in actions], np.uint64),
        action_chunk=np.array([each.chunk_id for each in actions], np.uint64),
        position=_series(draft.by_name["ee_pose"], lambda m: _xyz(m.pose.position)),
        quaternion=_series(
            draft.by_name["ee_pose"], lambda m: [*_xyz(m.pose.orientation), m.pose.orientation.w]
        ),
        gripper=_series(draft.by_name["gripper"], lambda m: m.position),
        joints=_series(draft.by_name["joint_states"], lambda m: m.position),
        features=_streams(draft.by_name["policy/features"]),
        pictures={camera: dict(frames) for camera, frames in draft.pictures.items()},
        heatmaps=draft.heatmaps,
        steering=tuple(_snapshot(*each) for each in draft.by_name["steering/state"]),
        notes=tuple(_note(*each) for each in draft.by_name["steering/events"]),
        annotations=tuple(each for each in annotations if each.episode_id == state.episode_id),
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
        site=site,
        step=column("observation_step", np.int64),
        inference=column("inference", np.uint64),
        revision=column("steering_revision", np.uint64),
        offset=np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
        index=joined("index"),
        natural=joined("natural"),
        applied=joined("applied"),
        fvu=column("fvu", np.float32),
        edit_norm_ratio=column("edit_norm_ratio", np.float32),
        residual_norm=column("residual_norm", np.float32),
        inference_ms=column("inference_ms", np.float32),
        tap_ms=column("tap_ms", np.float32),
        capped=column("capped", bool),
        bypassed=column("bypassed", bool),
    )


def _snapshot(step: int, message: Any) -> SteeringSnapshot:
    edits = tuple(
        EditSnapshot(
            each.edit.site, each.edit.feature, each.owner, each.commanded, each.applied, each.weight
        )
        for each in message.edits
    )
    return SteeringSnapshot(step, message.revision, message.bypass, edits)


def _note(step: int, message: Any) -> SteeringNote:
    kinds = constants(message, EVENT_KINDS)
    return SteeringNote(
        step,
        kinds[message.kind],
        message.owner,
        message.site,
        message.feature,
        message.from_value,
        message.to_value,
        message.reason,
    )


def _annotation(message: Any) -> Annotation:
    return Annotation(message.episode_id, message.step, message.author, message.text)


def _catalogues(reader: AnyReader) -> dict[str, Catalogue]:
    entries: dict[str, list[FeatureEntry]] = {}
    for _, message in messages(reader, "policy/catalogue"):  # the last one holds
        entries = {site: [] for site in message.sites}
        for each in message.features:
            entries.setdefault(each.site, []).append(_entry(each))
    return {site: Catalogue(site, each) for site, each in entries.items()}


def _entry(info: Any) -> FeatureEntry:
    """Return a FeatureInfo of today, or of an older bag that lacks some of its fields."""
    known = [each.name for each in fields(FeatureEntry) if hasattr(info, each.name)]
    return FeatureEntry(**{name: getattr(info, name) for name in known})


def _xyz(vector: Any) -> list[float]:
    return [vector.x, vector.y, vector.z]
