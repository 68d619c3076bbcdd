"""The messages of a bag, sorted by episode and made into arrays."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

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
from vla_sae_ros.bags.joint_rows import joint_columns, joint_rows, joints_of
from vla_sae_ros.bags.opened_bag import OpenedBag, messages
from vla_sae_ros.bags.pictures import HEATMAP, camera_of, picture_of
from vla_sae_ros.bags.timeline import (
    EVENT_KINDS,
    Span,
    Timeline,
    commander_of,
    name_of,
    stamp_of,
)
from vla_sae_ros.core.errors import RecordingError
from vla_sae_ros.core.steering import policy_start_of

OUTSIDE = ""
_OWN_PLACE = {"executed_action": "step", "policy/features": "observation_step"}
_STAMPED = ("ee_pose", "gripper", "joint_states", "steering/state", "steering/events")
_JOINTS = ("gripper", "joint_states")


class Placed(NamedTuple):
    """A message with its control step, -1 outside an episode, and its time."""

    step: int
    received: float
    """[s] since the bag's first message."""
    message: Any


@dataclass
class _Draft:
    """Messages of one episode, and its pictures by camera and step."""

    by_name: dict[str, list[Placed]] = field(default_factory=lambda: defaultdict(list))
    pictures: dict[str, dict[int, Picture]] = field(default_factory=lambda: defaultdict(dict))
    heatmaps: dict[int, Picture] = field(default_factory=dict)


class Drafts:
    """Collects what belongs to each episode, and what to none; says what is unusual about it."""

    def __init__(self, bag: OpenedBag, timeline: Timeline) -> None:
        self._bag, self._timeline = bag, timeline
        self._findings = bag.findings
        self._drafts: dict[str, _Draft] = defaultdict(_Draft)

    def read(self, pictures: bool) -> None:
        """Read every topic that an EpisodeTrace has; pictures only if wanted."""
        for name, step in _OWN_PLACE.items():
            for received, message in messages(self._bag, name):
                known = message.episode_id in self._timeline.spans
                place = (message.episode_id, getattr(message, step)) if known else (OUTSIDE, -1)
                self._add(name, place, received, message)
        for name in _STAMPED:
            self._read_stamped(name)
        if pictures:
            self._read_pictures()

    def finished(self, episode: str, annotations: Sequence[Annotation]) -> EpisodeTrace:
        """Return one episode, or, for OUTSIDE, what lies in none."""
        span = self._timeline.spans.get(episode) or Span(OUTSIDE, 0, 0, 0)
        draft = self._drafts[episode]
        actions = draft.by_name["executed_action"]
        rows, other = _rectangular([each.message.action for each in actions])
        if other:
            self._findings.note(
                f"{other} executed action(s) of {episode or 'no episode'} are not of the usual "
                f"length {rows.shape[1]}: their numbers are NaN"
            )

        def column(name: str, dtype: Any) -> Any:
            return np.array([getattr(each.message, name) for each in actions], dtype)

        return EpisodeTrace(
            episode_id=span.episode_id,
            suite=span.suite,
            task=span.task,
            instruction=span.instruction,
            instructions=span.instructions,
            init_state=span.init_state,
            seed=span.seed,
            control_rate=span.control_rate,
            status=span.status,
            steps=span.steps,
            action_step=np.array([each.step for each in actions], np.int64),
            actions=rows.astype(np.float32),
            held=column("held", bool),
            commander=np.array([commander_of(each.message) for each in actions], np.int64),
            action_revision=column("steering_revision", np.uint64),
            action_chunk=column("chunk_id", np.uint64),
            action_received=np.array([each.received for each in actions]),
            position=_series(draft.by_name["ee_pose"], lambda m: _xyz(m.pose.position)),
            quaternion=_series(
                draft.by_name["ee_pose"],
                lambda m: [*_xyz(m.pose.orientation), m.pose.orientation.w],
            ),
            gripper=_joint_series(draft.by_name["gripper"]),
            joints=_joint_series(draft.by_name["joint_states"]),
            features=_streams(draft.by_name["policy/features"]),
            pictures={camera: dict(frames) for camera, frames in draft.pictures.items()},
            heatmaps=draft.heatmaps,
            steering=tuple(_snapshot(each) for each in draft.by_name["steering/state"]),
            notes=tuple(_note(each) for each in draft.by_name["steering/events"]),
            annotations=tuple(each for each in annotations if each.episode_id == episode),
        )

    def _add(self, name: str, place: tuple[str, int], received: int, message: Any) -> None:
        since = (received - self._bag.start_time) * 1e-9
        self._drafts[place[0]].by_name[name].append(Placed(place[1], since, message))

    def _read_stamped(self, name: str) -> None:
        """Read a topic whose messages are placed by their stamps."""
        topic, jumps, empty, outside = self._name(name), _Jumps(), 0, 0
        for received, message in messages(self._bag, name):
            if name in _JOINTS and not len(message.position):
                empty += 1
                continue
            stamp = stamp_of(message)
            place = self._timeline.place(stamp, received)
            jumps.see(stamp, self._timeline.receiving(received))
            outside += place is None
            self._add(name, place or (OUTSIDE, -1), received, message)
        if empty:
            self._findings.note(f"{empty} message(s) of {topic} have no positions")
        if outside:
            self._findings.note(
                f"{outside} message(s) of {topic} belong to no episode: they have an empty "
                "episode_id and step -1"
            )
        if jumps.count:
            self._findings.note(
                f"stamps of {topic} jump back {jumps.count} time(s) within an episode, by up to "
                f"{jumps.largest * 1e-9:.3f} s"
            )
        if name in _JOINTS:
            self._tell_shared(name, topic)

    def _tell_shared(self, name: str, topic: str) -> None:
        of_all = [each.message for draft in self._drafts.values() for each in draft.by_name[name]]
        if len({joints_of(message) for message in of_all}) > 1:
            joints = ", ".join(str(each) for each in joint_columns(of_all))
            self._findings.note(
                f"several devices share {topic}; its columns are, in order: {joints}"
            )

    def _read_pictures(self) -> None:
        wanted = [
            each
            for each in self._bag.connections
            if camera_of(each.topic, each.msgtype, self._bag.namespace)
        ]
        heatmap = self._bag.of(HEATMAP)
        outside: Counter[str] = Counter()
        for connection, received, message in self._bag.decoded([*wanted, *heatmap]):
            place = self._timeline.place(stamp_of(message), received)
            if place is None:
                outside[connection.topic] += 1
                continue
            try:
                picture = picture_of(message, connection.topic)
            except RecordingError as error:
                self._findings.leave_out(connection.topic, str(error), received)
                continue
            draft = self._drafts[place[0]]
            camera = camera_of(connection.topic, connection.msgtype, self._bag.namespace)
            frames = draft.pictures[camera] if camera else draft.heatmaps
            frames[place[1]] = picture
        for topic, count in outside.items():
            self._findings.note(f"{count} picture(s) of {topic} belong to no episode")

    def _name(self, name: str) -> str:
        return f"{self._bag.namespace}/{name}"


@dataclass
class _Jumps:
    """Stamps that are earlier than the one before, within one episode."""

    count: int = 0
    largest: int = 0
    """[ns]."""
    _episode: str = OUTSIDE
    _newest: int = 0

    def see(self, stamp: int, episode: str) -> None:
        back = self._newest - stamp
        if back > 0 and episode == self._episode and self._newest:
            self.count += 1
            self.largest = max(self.largest, back)
        self._episode, self._newest = episode, stamp


def _series(placed: Sequence[Placed], values: Callable[[Any], list[float]]) -> Series:
    """Return one row per step, the last message of each, in the order of the steps."""
    order, kept = _kept(placed)
    made = np.array([values(placed[place].message) for place in kept], np.float64)
    return _made(placed, order, kept, made if len(kept) else np.zeros((0, 0)))


def _joint_series(placed: Sequence[Placed]) -> Series:
    """Return one row per step of every joint that the messages speak of."""
    order, kept = _kept(placed)
    keys, values = joint_rows([_key(each) for each in placed], [each.message for each in placed])
    places = {key: place for place, key in enumerate(keys)}
    return _made(placed, order, kept, values[[places[key] for key in order]])


def _kept(placed: Sequence[Placed]) -> tuple[list[tuple[int, int]], list[int]]:
    """Return (the rows' keys in order, the place of the last message of each)."""
    last = {_key(each): place for place, each in enumerate(placed)}
    order = sorted(last)
    return order, [last[key] for key in order]


def _key(each: Placed) -> tuple[int, int]:
    """Return what makes a row: the step; outside an episode the stamp."""
    return (each.step, 0) if each.step >= 0 else (-1, stamp_of(each.message))


def _made(
    placed: Sequence[Placed], order: list[tuple[int, int]], kept: list[int], values: np.ndarray
) -> Series:
    return Series(
        np.array([step for step, _ in order], np.int64),
        values,
        np.array([stamp_of(placed[place].message) for place in kept], np.int64),
        np.array([placed[place].received for place in kept], np.float64),
    )


def _rectangular(rows: Sequence[Any]) -> tuple[np.ndarray, int]:
    """Return ((N, most frequent length), number of rows of another length, which are NaN)."""
    lengths = Counter(len(row) for row in rows)
    if not lengths:
        return np.zeros((0, 0)), 0
    size = max(lengths, key=lambda length: (lengths[length], length))
    made = np.full((len(rows), size), np.nan)
    for place, row in enumerate(rows):
        if len(row) == size:
            made[place] = row
    return made, len(rows) - lengths[size]


def _streams(placed: Sequence[Placed]) -> dict[str, FeatureStream]:
    by_site: dict[str, list[Placed]] = defaultdict(list)
    for each in placed:
        by_site[each.message.site].append(each)
    return {site: _stream(site, each) for site, each in sorted(by_site.items())}


def _stream(site: str, placed: list[Placed]) -> FeatureStream:
    # A policy that was started again counts its inferences anew.
    placed = sorted(
        placed, key=lambda each: (policy_start_of(each.message), each.message.inference)
    )

    def column(name: str, dtype: Any) -> Any:
        return np.array([getattr(each.message, name) for each in placed], dtype)

    def joined(name: str) -> Any:
        return np.concatenate([getattr(each.message, name) for each in placed])

    sizes = [len(each.message.index) for each in placed]
    return FeatureStream(
        site=site,
        step=np.array([each.step for each in placed], np.int64),
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
        received=np.array([each.received for each in placed]),
        policy_start=np.array([policy_start_of(each.message) for each in placed], np.uint64),
        pooled=_pooled(placed),
    )


def _pooled(placed: Sequence[Placed]) -> Any:
    """Return (N, d) float32; None where it was not published, as in older bags."""
    rows = [np.asarray(getattr(each.message, "pooled", ()), np.float32) for each in placed]
    widths = {len(row) for row in rows}
    return np.stack(rows) if len(widths) == 1 and 0 not in widths else None


def _snapshot(placed: Placed) -> SteeringSnapshot:
    message = placed.message
    edits = tuple(
        EditSnapshot(
            each.edit.site, each.edit.feature, each.owner, each.commanded, each.applied, each.weight
        )
        for each in message.edits
    )
    return SteeringSnapshot(
        placed.step,
        message.revision,
        bool(message.bypass),
        edits,
        placed.received,
        policy_start_of(message),
    )


def _note(placed: Placed) -> SteeringNote:
    return steering_note(placed.message, placed.step, placed.received)


def steering_note(message: Any, step: int, received: float) -> SteeringNote:
    """Return a SteeringEvent at a step, -1 outside an episode, and its time of reception [s]."""
    return SteeringNote(
        step,
        name_of(message, EVENT_KINDS, message.kind),
        message.owner,
        message.site,
        message.feature,
        float(message.from_value),
        float(message.to_value),
        message.reason,
        received,
        int(getattr(message, "revision", 0)),
        getattr(message, "node", ""),
        policy_start_of(message),
    )


def _xyz(vector: Any) -> list[float]:
    return [vector.x, vector.y, vector.z]
