"""A bag as tidy tables: one row per observation of something, every column with its unit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from vla_sae_ros.bags.episode_trace import EpisodeTrace, FeatureStream
from vla_sae_ros.bags.reading import Bag
from vla_sae_ros.core.commander import Commander


@dataclass(frozen=True)
class Column:
    """One column; a name that ends in * stands for a row of them, numbered from 0."""

    name: str
    kind: pa.DataType
    unit: str
    meaning: str


_EPISODE = Column("episode_id", pa.string(), "", "episode; empty outside one")
_STEP = Column(
    "step", pa.int32(), "control ticks", "ticks executed since the episode's start; -1 outside one"
)
_SITE = Column("site", pa.string(), "", "where in the policy, e.g. expert.1")
_REVISION = Column("steering_revision", pa.uint64(), "", "steering that was applied")
_START = Column(
    "policy_start",
    pa.uint64(),
    "ns",
    "when the policy began to serve, since the epoch; with another one revisions and inferences "
    "count anew; 0 = an older bag",
)
_FEATURE = Column("feature", pa.uint32(), "", "feature id within its site")
_INFERENCE = Column("inference", pa.uint64(), "", "counts inferences within one policy process")
_RECEIVED = Column("received", pa.float64(), "s", "time of reception since the bag's first message")
_OWNER = Column("owner", pa.string(), "", "who asked for it")

TABLES: dict[str, tuple[Column, ...]] = {
    "episodes": (
        _EPISODE,
        Column("suite", pa.string(), "", "e.g. libero_object; empty on a robot"),
        Column("task", pa.int32(), "", "index within the suite"),
        Column("instruction", pa.string(), "", "what the policy was told to do"),
        Column("init_state", pa.int32(), "", "index of the initial state"),
        Column("seed", pa.uint64(), "", "of the environment and the policy's noise"),
        Column("control_rate", pa.float32(), "Hz", "control ticks per second"),
        Column("status", pa.string(), "", "last status, e.g. SUCCEEDED"),
        Column("steps", pa.int32(), "control ticks", "executed in all"),
        Column("actions_sha256", pa.string(), "", "of the actions, float32 little-endian"),
    ),
    "actions": (
        _EPISODE,
        _STEP,
        Column("chunk_id", pa.uint64(), "", "chunk it came from; 0 while holding"),
        _REVISION,
        Column("held", pa.bool_(), "", "no valid action: the hold action was executed"),
        Column("source", pa.string(), "", "who commanded it: policy, person or hold"),
        Column("intervention", pa.bool_(), "", "a person had taken over"),
        Column("action_*", pa.float32(), "the contract's", "as sent to the environment"),
        _RECEIVED,
    ),
    "states": (
        _EPISODE,
        _STEP,
        Column("x", pa.float64(), "m", "end effector"),
        Column("y", pa.float64(), "m", "end effector"),
        Column("z", pa.float64(), "m", "end effector"),
        Column("qx", pa.float64(), "", "end effector's quaternion"),
        Column("qy", pa.float64(), "", "end effector's quaternion"),
        Column("qz", pa.float64(), "", "end effector's quaternion"),
        Column("qw", pa.float64(), "", "end effector's quaternion"),
        Column("gripper_*", pa.float64(), "m", "finger positions"),
        Column("joint_*", pa.float64(), "rad", "arm joints"),
        _RECEIVED,
    ),
    "features": (
        _EPISODE,
        _SITE,
        _INFERENCE,
        _STEP,
        _FEATURE,
        Column("natural", pa.float32(), "SAE's", "activation before any edit"),
        Column("applied", pa.float32(), "SAE's", "activation after the edits"),
        _START,
    ),
    "inferences": (
        _EPISODE,
        _SITE,
        _INFERENCE,
        _STEP,
        _REVISION,
        Column("fvu", pa.float32(), "", "variance unexplained, 0 to 1; NaN when not measured"),
        Column("residual_norm", pa.float32(), "residual's", "mean ||x|| before the edits"),
        Column("edit_norm_ratio", pa.float32(), "", "mean ||dx|| / ||x|| after the cap"),
        Column("capped", pa.bool_(), "", "the edit was scaled down to the cap"),
        Column("bypassed", pa.bool_(), "", "steering was bypassed"),
        Column("inference_ms", pa.float32(), "ms", "the whole inference"),
        Column("tap_ms", pa.float32(), "ms", "of it in this site's tap"),
        _START,
        _RECEIVED,
    ),
    "steering": (
        _EPISODE,
        _STEP,
        _REVISION,
        Column("bypass", pa.bool_(), "", "no edit acts"),
        _OWNER,
        _SITE,
        _FEATURE,
        Column("commanded", pa.float32(), "SAE's", "value asked for"),
        Column("applied", pa.float32(), "SAE's", "value reached so far"),
        Column("weight", pa.float32(), "", "0 natural, 1 fully applied"),
        _START,
        _RECEIVED,
    ),
    "events": (
        _EPISODE,
        _STEP,
        Column("kind", pa.string(), "", "SET, REFUSED, RELEASED, ..."),
        _OWNER,
        _SITE,
        _FEATURE,
        Column("from_value", pa.float32(), "SAE's", "NaN = natural"),
        Column("to_value", pa.float32(), "SAE's", "NaN = natural"),
        Column("reason", pa.string(), "", "in words"),
        Column("node", pa.string(), "", "that asked, as far as the graph told"),
        Column("revision", pa.uint64(), "", "of the steering, after the event"),
        _START,
        _RECEIVED,
    ),
    "annotations": (
        _EPISODE,
        _STEP,
        Column("author", pa.string(), "", "who said it"),
        Column("text", pa.string(), "", "the remark"),
        _RECEIVED,
    ),
}
"""Table -> columns."""


def tables(bag: Bag) -> dict[str, pa.Table]:
    """Return every table of TABLES; unit and meaning stand in the metadata of each field."""
    rows: dict[str, Callable[[EpisodeTrace], Iterable[Sequence[Any]]]] = {
        "episodes": _episode,
        "steering": _steering,
        "events": _events,
    }
    # What lies in no episode comes last, with an empty episode_id.
    parts = {name: [*bag.episodes, bag.outside] for name in TABLES} | {"episodes": [*bag.episodes]}
    found = {
        name: _from_rows(name, [row for episode in parts[name] for row in make(episode)])
        for name, make in rows.items()
    }
    found["annotations"] = _from_rows(
        "annotations",
        [
            (each.episode_id, each.step, each.author, each.text, each.received)
            for each in bag.annotations
        ],
    )
    columns = {"actions": _actions, "states": _states}
    for name, of_episode in columns.items():
        found[name] = _joined(name, [of_episode(episode) for episode in parts[name]])
    streams = [
        (episode, stream)
        for episode in (*bag.episodes, bag.outside)
        for stream in episode.features.values()
    ]
    found["features"] = _joined("features", [_features(*each) for each in streams])
    found["inferences"] = _joined("inferences", [_inferences(*each) for each in streams])
    return {name: found[name] for name in TABLES}


def column_rows() -> Iterator[tuple[str, str, str, str]]:
    """Yield (table, column, unit, meaning) of everything in TABLES."""
    for table, columns in TABLES.items():
        for column in columns:
            yield table, column.name, column.unit, column.meaning


Columns = dict[str, Any]
"""Name -> values, all of the same length."""


def _joined(table: str, parts: list[Columns]) -> pa.Table:
    """Return one table of the episodes' columns; one that an episode lacks is null there."""
    names = [name for column in TABLES[table] for name in _names(column, parts)]
    kinds = {name: column for column in TABLES[table] for name in _names(column, parts)}
    schema = pa.schema([_field(name, kinds[name]) for name in names])
    made = [
        pa.table({name: part.get(name, pa.nulls(_length(part))) for name in names}).cast(schema)
        for part in parts
    ]
    return pa.concat_tables(made) if made else schema.empty_table()


def _names(column: Column, parts: list[Columns]) -> list[str]:
    if not column.name.endswith("*"):
        return [column.name]
    stem = column.name[:-1]
    found = {name for part in parts for name in part if name.removeprefix(stem).isdigit()}
    return sorted(found, key=lambda name: int(name.removeprefix(stem)))


def _length(part: Columns) -> int:
    return len(part["step"])


def _field(name: str, column: Column) -> pa.Field:
    return pa.field(
        name, column.kind, metadata={"unit": column.unit, "description": column.meaning}
    )


def _from_rows(table: str, rows: list[Sequence[Any]]) -> pa.Table:
    columns = TABLES[table]
    schema = pa.schema([_field(column.name, column) for column in columns])
    values = list(zip(*rows, strict=True)) if rows else [()] * len(columns)
    arrays = [pa.array(each, column.kind) for each, column in zip(values, columns, strict=True)]
    return pa.Table.from_arrays(arrays, schema=schema)


def _episode(each: EpisodeTrace) -> Iterator[Sequence[Any]]:
    yield (
        each.episode_id,
        each.suite,
        each.task,
        each.instruction,
        each.init_state,
        each.seed,
        each.control_rate,
        each.status.name,
        each.steps,
        each.actions_sha256,
    )


def _steering(episode: EpisodeTrace) -> Iterator[Sequence[Any]]:
    for state in episode.steering:
        for edit in state.edits:
            yield (
                episode.episode_id,
                state.step,
                state.revision,
                state.bypass,
                edit.owner,
                edit.site,
                edit.feature,
                edit.commanded,
                edit.applied,
                edit.weight,
                state.policy_start,
                state.received,
            )


def _events(episode: EpisodeTrace) -> Iterator[Sequence[Any]]:
    for note in episode.notes:
        yield (
            episode.episode_id,
            note.step,
            note.kind,
            note.owner,
            note.site,
            note.feature,
            note.from_value,
            note.to_value,
            note.reason,
            note.node,
            note.revision,
            note.policy_start,
            note.received,
        )


def _actions(episode: EpisodeTrace) -> Columns:
    return {
        "episode_id": _repeated(episode.episode_id, len(episode.action_step)),
        "step": episode.action_step,
        "chunk_id": episode.action_chunk,
        "steering_revision": episode.action_revision,
        "held": episode.held,
        "source": [Commander(each).name.lower() for each in episode.commander],
        "intervention": episode.commander == Commander.PERSON,
        **_numbered("action_", episode.actions),
        "received": episode.action_received,
    }


def _states(episode: EpisodeTrace) -> Columns:
    series = {
        "position": episode.position,
        "quaternion": episode.quaternion,
        "gripper": episode.gripper,
        "joints": episode.joints,
    }
    inside = bool(episode.episode_id)
    keys = {name: each.step if inside else each.stamp_ns for name, each in series.items()}
    rows = np.unique(np.concatenate(list(keys.values())))
    at = {name: _at(rows, keys[name], each.values) for name, each in series.items()}
    received = np.fmax.reduce(
        [_at(rows, keys[name], each.received[:, None])[:, 0] for name, each in series.items()]
    )
    return {
        "episode_id": _repeated(episode.episode_id, len(rows)),
        "step": rows if inside else np.full(len(rows), -1),
        **dict(zip("xyz", at["position"].T, strict=False)),
        **dict(zip(("qx", "qy", "qz", "qw"), at["quaternion"].T, strict=False)),
        **_numbered("gripper_", at["gripper"]),
        **_numbered("joint_", at["joints"]),
        "received": received,
    }


def _at(rows: np.ndarray, keys: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return (rows, columns) values; NaN in rows that are not among the keys."""
    found = np.full((len(rows), values.shape[1]), np.nan)
    found[np.searchsorted(rows, keys)] = values
    return found


def _features(episode: EpisodeTrace, stream: FeatureStream) -> Columns:
    sizes = np.diff(stream.offset)
    return {
        "episode_id": _repeated(episode.episode_id, len(stream.index)),
        "site": _repeated(stream.site, len(stream.index)),
        "inference": np.repeat(stream.inference, sizes),
        "step": np.repeat(stream.step, sizes),
        "feature": stream.index,
        "natural": stream.natural,
        "applied": stream.applied,
        "policy_start": np.repeat(stream.policy_start, sizes),
    }


def _inferences(episode: EpisodeTrace, stream: FeatureStream) -> Columns:
    count = len(stream.step)
    names = (
        "fvu",
        "residual_norm",
        "edit_norm_ratio",
        "capped",
        "bypassed",
        "inference_ms",
        "tap_ms",
    )
    return {
        "episode_id": _repeated(episode.episode_id, count),
        "site": _repeated(stream.site, count),
        "inference": stream.inference,
        "step": stream.step,
        "steering_revision": stream.revision,
        **{name: getattr(stream, name) for name in names},
        "policy_start": stream.policy_start,
        "received": stream.received,
    }


def _numbered(stem: str, values: np.ndarray) -> Columns:
    return {f"{stem}{number}": column for number, column in enumerate(values.T)}


def _repeated(text: str, count: int) -> pa.Array:
    return pa.array([text] * count, pa.string())
