"""Reading collected activations."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open

from vla_sae_ros.activations.format import (
    TENSOR,
    Collection,
    CollectionError,
    EpisodeRecord,
    StepRecord,
    read_episodes,
)
from vla_sae_ros.activations.rows import ShardedRows, map_tensor
from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.sae.kinds.samples import Samples


@dataclass(frozen=True)
class SiteActivations:
    """Activations of one site over some episodes, in the order they were made.

    rows: (n, d) float32, read from the shards when it is indexed. steps: one record per inference,
    whose `rows` add up to n.
    episode: (len(steps),) int64, index of the step's episode among the episodes asked for.
    """

    site: str
    rows: Samples
    steps: tuple[StepRecord, ...]
    episode: np.ndarray

    @property
    def first_row(self) -> np.ndarray:
        """Return (len(steps),) int64: the first of each inference's rows."""
        count = np.array([step.rows for step in self.steps], np.int64)
        return np.cumsum(count) - count

    def mean_residual_norm(self, mean_sample_norm: float) -> tuple[float, str]:
        """Return mean ||x|| and over what: the tokens, where every inference recorded theirs.

        mean_sample_norm: the mean norm of `rows`, which are shorter than tokens when pooled.
        """
        norms = [one.residual_norm for one in self.steps]
        known = [norm for norm in norms if norm is not None]
        if len(known) == len(norms):
            return float(np.mean(known)), "tokens"
        return mean_sample_norm, "samples"


class ActivationDataset:
    """A folder that `ActivationWriter` wrote; only complete episodes are read."""

    def __init__(
        self, folder: Path, collection: Collection, episodes: Sequence[EpisodeRecord]
    ) -> None:
        self.folder = folder
        self.collection = collection
        self.episodes = tuple(episodes)
        self._known_finite: set[Path] = set()

    @classmethod
    def open(cls, folder: str | os.PathLike[str]) -> ActivationDataset:
        """Open `folder`. Raises ConfigurationError or CollectionError if it cannot be used."""
        folder = Path(folder)
        collection = Collection.load(folder)
        episodes = [episode for episode in read_episodes(folder) if episode.complete]
        if not episodes:
            raise CollectionError(
                f"{folder} contains no complete episode. Collect at least one complete episode."
            )
        ids = [episode.episode_id for episode in episodes]
        twice = sorted({one for one in ids if ids.count(one) > 1})
        if twice:
            raise CollectionError(f"{folder} contains these episodes more than once: {twice}.")
        return cls(folder, collection, episodes)

    def load(self, site: str, episodes: Sequence[EpisodeRecord] | None = None) -> SiteActivations:
        """Open one site of `episodes` (default all); its rows stay in their files.

        Raises ConfigurationError for an unknown site, CollectionError naming the file for a
        missing, truncated or NaN shard and for an episode without activations at this site.
        """
        if site not in self.collection.sites:
            allowed = sorted(self.collection.sites)
            raise ConfigurationError(complaint(f"site in {self.folder}", site, allowed))
        chosen = self.episodes if episodes is None else tuple(episodes)
        width = self.collection.sites[site].width
        shards: list[np.ndarray] = []
        steps: list[StepRecord] = []
        episode_of: list[int] = []
        for number, episode in enumerate(chosen):
            self._check_has(site, episode)
            for stem, count in episode.shards[site]:
                shards.append(self._open_shard(site, stem, (count, width)))
                records = self._read_index(site, stem, count, episode.episode_id)
                steps += records
                episode_of += [number] * len(records)
        rows = ShardedRows(shards, width)
        return SiteActivations(site, rows, tuple(steps), np.array(episode_of, np.int64))

    def split(
        self, held_out: float, seed: int = 0
    ) -> tuple[tuple[EpisodeRecord, ...], tuple[EpisodeRecord, ...]]:
        """Return (training, held-out) episodes; no episode is in both.

        The choice depends on the episode ids and the seed only, so it stays when the folder is
        copied. Raises ConfigurationError unless both parts get at least one episode.
        """
        if not 0 < held_out < 1:
            raise ConfigurationError(complaint("held-out share", held_out, "above 0, below 1"))
        if len(self.episodes) < 2:
            raise ConfigurationError(
                complaint("complete episodes to split", len(self.episodes), "at least 2")
            )

        def draw(episode: EpisodeRecord) -> bytes:
            return hashlib.sha256(f"{seed} {episode.episode_id}".encode()).digest()

        count = min(len(self.episodes) - 1, max(1, round(held_out * len(self.episodes))))
        drawn = {one.episode_id for one in sorted(self.episodes, key=draw)[:count]}
        training = tuple(one for one in self.episodes if one.episode_id not in drawn)
        return training, tuple(one for one in self.episodes if one.episode_id in drawn)

    def _check_has(self, site: str, episode: EpisodeRecord) -> None:
        if sum(rows for _, rows in episode.shards.get(site, [])) == 0:
            raise CollectionError(
                f"Episode {episode.episode_id!r} in {self.folder} has no activations at {site}. "
                "Leave it out, or collect it again."
            )

    def _open_shard(self, site: str, stem: str, shape: tuple[int, int]) -> np.ndarray:
        """Return the shard as a memory map; the first time all of it is looked at for NaN."""
        path = self.folder / site / f"{stem}.safetensors"
        try:
            with safe_open(path, framework="numpy") as file:
                found = file.get_slice(TENSOR)
                said, kind = tuple(found.get_shape()), found.get_dtype()
        except (OSError, SafetensorError) as error:
            raise _damaged(path, f"missing or truncated ({error})") from error
        if said != shape or kind != "F32":
            raise _damaged(path, f"{said} {kind}, not {shape} F32")
        rows = map_tensor(path, TENSOR)
        if path not in self._known_finite:
            if not np.isfinite(rows).all():
                raise _damaged(path, "NaN or infinite")
            self._known_finite.add(path)
        return rows

    def _read_index(self, site: str, stem: str, rows: int, episode_id: str) -> list[StepRecord]:
        path = self.folder / site / f"{stem}.jsonl"
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
            records = [StepRecord.from_json(line) for line in lines]
        except (OSError, ValueError, TypeError) as error:
            raise _damaged(path, f"missing or not JSON lines ({error})") from error
        if sum(record.rows for record in records) != rows:
            raise _damaged(path, f"not an index of {rows} rows")
        if any(record.episode_id != episode_id for record in records):
            raise _damaged(path, f"of another episode than {episode_id!r}")
        return records


def _damaged(path: Path, how: str) -> CollectionError:
    return CollectionError(
        f"The shard file {path} is {how}. Copy it again, or remove its episode's line from "
        "episodes.jsonl and collect that episode again."
    )
