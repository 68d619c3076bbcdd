"""The files of one episode's activations."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np
from safetensors.numpy import save as to_safetensors

from vla_sae_ros.activations.format import (
    EPISODES_FILE,
    TENSOR,
    EpisodeRecord,
    StepRecord,
)
from vla_sae_ros.core.journal import append_to_journal
from vla_sae_ros.core.whole_file import write_whole


class EpisodeShards:
    """Collects the rows of one episode after another and writes them in shards.

    Nothing of an episode counts before `end`: until then its shards are named `unfinished`.
    """

    def __init__(self, folder: Path, shard_rows: int) -> None:
        self._folder = folder
        self._shard_rows = shard_rows
        self._pending: dict[str, list[tuple[np.ndarray, StepRecord]]] = {}
        self._pending_rows: dict[str, int] = {}
        self._written: dict[str, list[tuple[str, int]]] = {}
        self._inferences: set[int] = set()
        self._first: StepRecord | None = None

    def add(self, site: str, rows: np.ndarray, record: StepRecord) -> None:
        """Take the rows (n, d) of one inference; writes a shard when enough came together."""
        self._first = self._first or record
        self._inferences.add(record.step)
        self._pending.setdefault(site, []).append((rows, record))
        self._pending_rows[site] = self._pending_rows.get(site, 0) + len(rows)
        if self._pending_rows[site] >= self._shard_rows:
            self._write(site)

    def end(self, number: int, success: bool | None, complete: bool) -> None:
        """Write what is left of the episode, then its line in episodes.jsonl."""
        for name in list(self._pending):
            self._write(name)
        assert self._first is not None  # an episode is only ended after activations came
        first = self._first
        record = EpisodeRecord(
            number=number,
            episode_id=first.episode_id,
            task=first.task,
            instruction=first.instruction,
            seed=first.seed,
            success=success,
            complete=complete,
            steps=len(self._inferences),
            shards={site: self._renamed(site, number) for site in self._written},
        )
        append_to_journal(self._folder / EPISODES_FILE, asdict(record), synced=True)
        self._written, self._inferences, self._first = {}, set(), None

    def _write(self, site: str) -> None:
        pending = self._pending.pop(site)
        del self._pending_rows[site]
        rows = np.concatenate([one for one, _ in pending])
        parts = self._written.setdefault(site, [])
        stem = f"unfinished-{len(parts):04d}"
        folder = self._folder / site
        write_whole(folder / f"{stem}.safetensors", to_safetensors({TENSOR: rows}))
        index = "".join(record.to_json() for _, record in pending)
        write_whole(folder / f"{stem}.jsonl", index.encode())
        parts.append((stem, len(rows)))

    def _renamed(self, site: str, number: int) -> list[tuple[str, int]]:
        folder = self._folder / site
        final = []
        for part, (stem, rows) in enumerate(self._written[site]):
            name = f"{number:06d}-{part:04d}"
            for suffix in (".safetensors", ".jsonl"):
                (folder / (stem + suffix)).replace(folder / (name + suffix))
            final.append((name, rows))
        return final
