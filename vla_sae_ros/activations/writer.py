"""Writing activations to disk while a policy runs."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from vla_sae_ros.activations.format import (
    COLLECTION_FILE,
    Collection,
    CollectionError,
    EpisodeRecord,
    StepRecord,
    read_episodes,
)
from vla_sae_ros.activations.shards import EpisodeShards
from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.core.folders import LOCK_FILE, FolderLock
from vla_sae_ros.core.whole_file import write_whole


class ActivationWriter(AbstractContextManager):
    """A policy engine's activation sink: call it with (site, activations, context).

    The call checks and copies, then a thread writes. The queue between them is bounded: when the
    disk is slower than the policy the call waits, which `stalls` counts; nothing is ever dropped.
    Opening a folder again continues it: finished episodes stay, an unfinished one is removed and
    has to be run again. Use it from one thread.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        collection: Collection,
        shard_rows: int = 8192,
        queue_size: int = 256,
    ) -> None:
        """Open or continue `folder`.

        Raises ConfigurationError if it holds another collection, or another process writes to it.
        """
        self.folder = Path(folder)
        self.collection = collection
        self.stalls = 0
        self._lock = _locked(self.folder)
        try:
            self._completed, self._next_number = _prepare(self.folder, collection)
        except BaseException:
            self._lock.release()
            raise
        self._current: str | None = None
        self._closed = False
        self._failure: BaseException | None = None
        self._queue: queue.Queue[tuple[Any, ...]] = queue.Queue(queue_size)
        self._shards = EpisodeShards(self.folder, shard_rows)
        self._thread = threading.Thread(target=self._run, name="activation writer", daemon=True)
        self._thread.start()

    @property
    def completed_episodes(self) -> frozenset[str]:
        """Ids of the complete episodes in the folder, to skip when continuing."""
        return frozenset(self._completed)

    def __call__(self, site: str, activations: np.ndarray, context: Mapping[str, Any]) -> None:
        """Take activations (d,) or (tokens, d) of one inference and what was going on.

        An episode_id other than the last one's ends that episode with its success unknown. Raises
        CollectionError, having taken nothing, for an unknown site, a wrong shape, NaN or infinity,
        a bad context or an episode that is complete already; and when writing failed before.
        """
        self._check_open()
        rows = self._checked(site, activations)
        record = StepRecord.from_context(context, len(rows))
        if record.episode_id in self._completed:
            raise CollectionError(
                f"Episode {record.episode_id!r} is already complete in {self.folder}. Use new ids "
                "for new episodes, or collect into another folder."
            )
        if self._current not in (None, record.episode_id):
            self.end_episode()
        self._current = record.episode_id
        self._put("rows", site, rows, record)

    def end_episode(self, success: bool | None = None, complete: bool = True) -> None:
        """Finish the current episode: it will be on disk, whole, once `flush` returns.

        Raises CollectionError when no activations came since the last episode's end.
        """
        self._check_open()
        if self._current is None:
            raise CollectionError(
                "An episode without any activations cannot be finished. Check that the policy "
                "made at least one inference at a collected site."
            )
        if complete:
            self._completed.add(self._current)
        self._put("end", self._next_number, success, complete)
        self._next_number += 1
        self._current = None

    def drop_episode(self) -> None:
        """Give up the current episode, if there is one: as incomplete, which nobody reads."""
        if self._current is not None:
            self.end_episode(complete=False)

    def flush(self) -> None:
        """Wait until everything taken so far is written, or raise what went wrong."""
        self._queue.join()
        self._raise_failure()

    def close(self) -> None:
        """Write what is left and stop; an episode that was not ended is kept as incomplete."""
        if self._closed:
            return
        try:
            if self._current is not None and self._failure is None:
                self.end_episode(complete=False)
        finally:
            self._closed = True
            self._queue.put(("stop",))
            self._thread.join()
            self._lock.release()
        if self._failure is not None:
            raise self._error() from self._failure

    def __exit__(self, *_: object) -> None:
        self.close()

    def _checked(self, site: str, activations: np.ndarray) -> np.ndarray:
        read = self.collection.sites.get(site)
        if read is None:
            allowed = sorted(self.collection.sites)
            raise CollectionError(complaint("site of the activations", site, allowed))
        rows = np.array(activations, np.float32, ndmin=2)  # a copy: the caller reuses its buffers
        pooled = read.pooling == "mean"
        wrong = rows.ndim != 2 or rows.shape[1] != read.width or not len(rows)
        if wrong or (pooled and len(rows) > 1):
            shape = f"({read.width},)" if pooled else f"(tokens, {read.width})"
            got = np.shape(activations)
            raise CollectionError(complaint(f"shape of the activations at {site}", got, shape))
        if not np.isfinite(rows).all():
            bad = int((~np.isfinite(rows)).sum())
            raise CollectionError(
                complaint(f"NaN or infinite values in the activations at {site}", bad, 0)
            )
        return rows

    def _put(self, *item: Any) -> None:
        try:
            self._queue.put_nowait(item)
        except queue.Full:
            self.stalls += 1
            self._queue.put(item)

    def _run(self) -> None:
        while True:
            kind, *rest = self._queue.get()
            try:
                # After a failure the queue is only emptied, so that no caller waits for ever;
                # every later call raises the failure.
                if self._failure is None and kind == "rows":
                    self._shards.add(*rest)
                elif self._failure is None and kind == "end":
                    self._shards.end(*rest)
            except Exception as error:
                self._failure = error
            finally:
                self._queue.task_done()
            if kind == "stop":
                return

    def _check_open(self) -> None:
        if self._closed:
            raise CollectionError(f"The activation writer of {self.folder} is closed.")
        self._raise_failure()

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._error() from self._failure

    def _error(self) -> CollectionError:
        return CollectionError(
            f"Writing activations to {self.folder} failed: {self._failure}. Finished episodes are "
            "intact; make room or fix the folder, then collect again to continue."
        )


def _locked(folder: Path) -> FolderLock:
    """Make the folder if needed, and return its lock.

    Raises ConfigurationError if `folder` is another kind of folder, or another process has it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    others = {one.name for one in folder.iterdir()} - {LOCK_FILE}
    if others and COLLECTION_FILE not in others:
        raise ConfigurationError(
            f"{folder} is not empty and contains no collection. Name an empty or new folder."
        )
    return FolderLock(folder)


def _prepare(folder: Path, collection: Collection) -> tuple[set[str], int]:
    """Fill or continue the folder; return the ids of complete episodes and the next number."""
    if not (folder / COLLECTION_FILE).exists():
        write_whole(folder / COLLECTION_FILE, collection.to_json().encode())
    stored = Collection.load(folder)
    for name in ("source", "state_names", "inputs"):
        if not (said := getattr(stored, name)):  # of a version that did not say it
            collection = replace(collection, **{name: said})
    if stored != collection:
        differing = [
            f"{name} ({getattr(stored, name)!r} there, {getattr(collection, name)!r} now)"
            for name in vars(stored)
            if getattr(stored, name) != getattr(collection, name)
        ]
        raise ConfigurationError(
            f"{folder} contains activations of another collection; different settings: "
            f"{', '.join(differing)}. Collect into another folder."
        )
    episodes = read_episodes(folder)
    _remove_unfinished(folder, collection, episodes)
    numbers = [episode.number for episode in episodes]
    done = {episode.episode_id for episode in episodes if episode.complete}
    return done, max(numbers, default=-1) + 1


def _remove_unfinished(folder: Path, collection: Collection, episodes: list[EpisodeRecord]) -> None:
    for site in collection.sites:
        (folder / site).mkdir(exist_ok=True)
        finished = {stem for one in episodes for stem, _ in one.shards.get(site, [])}
        for path in (folder / site).iterdir():
            if path.name.split(".")[0] not in finished:
                path.unlink()
