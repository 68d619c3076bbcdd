"""An .rrd file as Rerun's own reader reads it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rerun.experimental import RrdReader, StoreEntry


def recordings(path: Path) -> dict[str, StoreEntry]:
    """Return the recordings of a file by their id."""
    return {each.recording_id: each for each in RrdReader(path).recordings()}


def entities(path: Path, store: StoreEntry) -> set[str]:
    return {chunk.entity_path for chunk in RrdReader(path).stream(store=store)}


def column(
    path: Path, store: StoreEntry, entity: str, component: str, timeline: str = "step"
) -> dict[Any, Any]:
    """Return time -> first value of a component; static ones under None."""
    return dict(_values(path, store, entity, component, timeline))


def _values(
    path: Path, store: StoreEntry, entity: str, component: str, timeline: str
) -> Iterator[tuple[Any, Any]]:
    for chunk in RrdReader(path).stream(store=store):
        batch = chunk.to_record_batch()
        if chunk.entity_path != entity or component not in batch.schema.names:
            continue
        values = batch.column(component).to_pylist()
        static = timeline not in batch.schema.names
        times = [None] * len(values) if static else batch.column(timeline).to_pylist()
        yield from ((time, value[0]) for time, value in zip(times, values, strict=True) if value)
