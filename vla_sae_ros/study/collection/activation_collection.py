"""Going through episodes with a policy and writing down what its residual stream was."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from vla_sae_ros.activations.format import Collection, CollectionError
from vla_sae_ros.activations.pictures import EpisodePictures
from vla_sae_ros.activations.probes import SiteProbes
from vla_sae_ros.activations.source import EpisodeSource, PolicyQuery, SourceEpisode
from vla_sae_ros.activations.writer import ActivationWriter
from vla_sae_ros.core.errors import ConfigurationError, ObservationError, RecordingError
from vla_sae_ros.policy.engine import PolicyEngine

_INDEX_BYTES = 700  # of one inference's line, with a dozen objects
_PICTURE_MARGIN = 1.25  # later pictures may be harder to compress than the first
_KEPT_FREE = 200 * 10**6  # [bytes]


@dataclass(frozen=True)
class Tally:
    """What a collection did."""

    collected: int
    skipped: int
    successes: int
    broken: tuple[str, ...] = ()
    """Episodes that were passed over, each with what is wrong with it."""


class ActivationCollection:
    """A policy with probes on some sites and a folder to write to.

    Args:
        engine: gets a probe on each site.
        folder: an existing collection in it is continued.
        sites: site names.
        pooling: "mean" or "token".
        source: of the episodes.
        frame_height: [pixels] of the small pictures; 0 = none.
        observations: keep whole observations too, for `vla-sae heatmaps`.
        state_names: what the state's numbers are, where the source does not know.

    Raises:
        ConfigurationError: an unknown site, or a folder that holds something else.
    """

    def __init__(
        self,
        engine: PolicyEngine,
        folder: Path,
        sites: Sequence[str],
        pooling: str,
        source: EpisodeSource,
        frame_height: int,
        observations: bool = False,
        state_names: Sequence[str] = (),
    ) -> None:
        self._engine, self._folder, self._source = engine, folder, source
        self._frame_height, self._observations = frame_height, observations
        self._picture_bytes = 0
        self._probes = SiteProbes(engine, sites, pooling)
        self._rows_seen: dict[str, int] = {}
        collected = self._probes.sites
        self._writer = ActivationWriter(
            folder,
            Collection(
                engine.policy_id,
                engine.policy_name,
                collected,
                source.control_rate,
                source.identity,
                tuple(state_names) or source.state_names,
                compiled=engine.compiled,
                inputs=engine.fed_by,
            ),
        )

    def close(self) -> None:
        """Write what is left; an episode that did not end is kept as incomplete."""
        self._writer.close()

    def waiting(self) -> list[SourceEpisode]:
        """Return the episodes that the folder does not hold whole."""
        done = self._writer.completed_episodes
        return [one for one in self._source.episodes() if one.episode_id not in done]

    def run(
        self, episodes: Sequence[SourceEpisode], finished: Callable[[SourceEpisode], None]
    ) -> Tally:
        """Collect the episodes, telling `finished` after each.

        An episode with an observation that the policy cannot be asked about is passed over.

        Raises:
            ConfigurationError: the folder holds no episode, and not one could be collected; it
                says why the last one could not.
            CollectionError: the disk will not hold the rest, or cannot be written.
        """
        left = sum(one.inferences for one in episodes)
        successes = 0
        broken: list[str] = []
        for episode in episodes:
            try:
                successes += bool(self._collect(episode, left))
            except (ObservationError, RecordingError) as error:
                broken.append(f"{episode.episode_id}: {error}")
                self._writer.drop_episode()
            left -= episode.inferences
            finished(episode)
        self._writer.flush()
        collected = len(episodes) - len(broken)
        if broken and not self._writer.completed_episodes:
            raise ConfigurationError(f"No episode could be collected: {broken[-1]}")
        skipped = len(self._writer.completed_episodes) - collected
        return Tally(collected, skipped, successes, tuple(broken))

    def bytes_per_inference(self) -> int | None:
        """Return what one inference takes on disk; None before the first."""
        if not self._rows_seen:
            return None
        rows = sum(
            self._rows_seen.get(name, 1) * site.width * 4
            for name, site in self._probes.sites.items()
        )
        pictures = int(self._picture_bytes * _PICTURE_MARGIN)
        return rows + pictures + _INDEX_BYTES * len(self._probes.sites)

    def _collect(self, episode: SourceEpisode, inferences_left: int) -> bool | None:
        checked = False

        def answer(query: PolicyQuery) -> np.ndarray:
            nonlocal checked
            actions = self._infer(episode, query)
            seen = replace(query, frame=self._engine.own_names(query.frame))
            self._picture_bytes = max(self._picture_bytes, pictures.add(seen))
            if not checked:
                self._check_disk(inferences_left)
                checked = True
            return actions

        with EpisodePictures(
            self._folder, episode.episode_id, self._frame_height, self._observations
        ) as pictures:
            success = episode.play(answer)
        self._writer.end_episode(success)
        self._writer.flush()
        return success

    def _infer(self, episode: SourceEpisode, query: PolicyQuery) -> np.ndarray:
        seed = (query.seed, query.step)
        actions = self._engine.infer(query.frame, query.instruction, seed).actions
        context = context_of(episode.episode_id, episode.task, query, actions)
        for name, (read, norm) in self._probes.take().items():
            rows = read.cpu().numpy()
            self._rows_seen[name] = len(np.atleast_2d(rows))
            self._writer(name, rows, {**context, "residual_norm": norm})
        return actions

    def _check_disk(self, inferences_left: int) -> None:
        each = self.bytes_per_inference()
        assert each is not None  # one inference was made
        check_disk(self._folder, each, inferences_left)


def context_of(
    episode_id: str, task: str, query: PolicyQuery, actions: np.ndarray
) -> dict[str, Any]:
    """Return what an `ActivationWriter` is told of one inference; actions (H, A)."""
    return {
        "episode_id": episode_id,
        "step": query.step,
        "task": task,
        "instruction": query.instruction,
        "seed": query.seed,
        "state": query.frame.get("observation.state"),
        "action": actions[0],
        "object_positions": dict(query.object_positions),
    }


def check_disk(folder: Path, each: float, inferences_left: int) -> None:
    """Raise CollectionError where the disk will not hold the rest.

    each: bytes of an inference. inferences_left: at most.
    """
    needed, free = each * inferences_left, shutil.disk_usage(folder).free
    if needed > free - _KEPT_FREE:
        raise CollectionError(
            f"The episodes that are left need up to {needed / 1e9:.1f} GB at "
            f"{each / 1e3:.1f} kB per inference, and {folder} has {free / 1e9:.1f} GB "
            "free. Make room, collect fewer episodes or sites, pool the tokens, or do not keep "
            "the observations; what is collected already stays."
        )


def check_sites(sites: Sequence[str], known: Sequence[str]) -> None:
    """Raise ConfigurationError for a site named twice or one that the policy does not have."""
    wrong = [one for one in sites if one not in known or list(sites).count(one) > 1]
    if wrong:
        raise ConfigurationError(
            f"--sites {' '.join(wrong)}: not a site of this policy, or named twice. It has "
            f"{', '.join(known)}."
        )
