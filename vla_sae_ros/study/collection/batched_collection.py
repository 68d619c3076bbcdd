"""Collecting episodes side by side; each is written whole when it has ended."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from vla_sae_ros.activations.format import CollectedSite, Collection
from vla_sae_ros.activations.pictures import EpisodePictures
from vla_sae_ros.activations.writer import ActivationWriter
from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.policy.batch_engine import BatchEngine
from vla_sae_ros.study.batches.jobs import Failed, Players
from vla_sae_ros.study.batches.playing import outcomes
from vla_sae_ros.study.collection.activation_collection import Tally, check_disk, context_of
from vla_sae_ros.study.collection.collect_job import CollectedEpisode, CollectJob
from vla_sae_ros.study.collection.simulated_source import PlannedEpisode, identity_of


class BatchedCollection:
    """A folder to which episodes are collected that players play.

    Args:
        engine: the policy.
        folder: an existing collection in it is continued.
        sites: site names.
        pooling: "mean" or "token".
        episodes: that are to be there in the end.
        control_rate: [Hz] of the simulation.
        policy_batch: the batch size that is part of what is collected; see `said_batch`.
        frame_height: [pixels] of the small pictures; 0 = none.
        observations: keep whole observations too.
        state_names: what the state's numbers are, where that was said.

    Raises:
        ConfigurationError: a folder that holds something else.
    """

    def __init__(
        self,
        engine: BatchEngine,
        folder: Path,
        sites: Sequence[str],
        pooling: str,
        episodes: Sequence[PlannedEpisode],
        control_rate: float,
        policy_batch: int,
        frame_height: int,
        observations: bool = False,
        state_names: Sequence[str] = (),
    ) -> None:
        self._folder, self._episodes = folder, tuple(episodes)
        self._sites, self._pooling = tuple(sites), pooling
        self._frame_height, self._observations = frame_height, observations
        self._bytes = self._inferences = 0
        places = engine.adapter.sites
        collected = {
            site: CollectedSite(places[site].width, pooling, places[site].token_groups)
            for site in sites
        }
        self._writer = ActivationWriter(
            folder,
            Collection(
                engine.policy_id,
                engine.policy_name,
                collected,
                control_rate,
                identity_of(self._episodes),
                tuple(state_names),
                policy_batch,
                inputs=engine.fed_by,
            ),
        )

    def close(self) -> None:
        """Write what is left."""
        self._writer.close()

    def waiting(self) -> list[PlannedEpisode]:
        """Return the episodes that the folder does not hold whole."""
        done = self._writer.completed_episodes
        return [one for one in self._episodes if one.episode_id not in done]

    def bytes_per_inference(self) -> float | None:
        """Return what one inference took on disk on the mean; None before the first."""
        return self._bytes / self._inferences if self._inferences else None

    def run(
        self,
        players: Players,
        episodes: Sequence[PlannedEpisode],
        finished: Callable[[PlannedEpisode], None],
    ) -> Tally:
        """Collect the episodes, telling `finished` after each; a broken one is passed over.

        Raises:
            ConfigurationError: not one could be collected; it says why the last one could not.
            CollectionError: the disk will not hold the rest, or cannot be written.
        """
        by_id = {one.episode_id: one for one in episodes}
        left = sum(one.inferences for one in episodes)
        successes, broken = 0, []
        for job, outcome in outcomes(players, [self._job(one) for one in episodes]):
            episode = by_id[job.episode_id]
            left -= episode.inferences
            if isinstance(outcome, Failed):
                broken.append(f"{job.episode_id}: {outcome.reason}")
            else:
                self._keep(episode, outcome.result)
                successes += outcome.result.success
                check_disk(self._folder, self._bytes / self._inferences, left)
            finished(episode)
        if broken and len(broken) == len(episodes):
            raise ConfigurationError(f"No episode could be collected: {broken[-1]}")
        collected = len(episodes) - len(broken)
        skipped = len(self._writer.completed_episodes) - collected
        return Tally(collected, skipped, successes, tuple(broken))

    def _job(self, episode: PlannedEpisode) -> CollectJob:
        return CollectJob(
            episode.episode_id,
            episode.trial,
            episode.execute_steps,
            self._sites,
            self._pooling,
            self._frame_height,
            self._observations,
        )

    def _keep(self, episode: PlannedEpisode, played: CollectedEpisode) -> None:
        with EpisodePictures(
            self._folder, episode.episode_id, self._frame_height, self._observations
        ) as pictures:
            self._bytes += pictures.add_files(played.pictures)
        for one in played.inferences:
            self._inferences += 1
            context = context_of(episode.episode_id, episode.task, one.query, one.answered.actions)
            for site, (rows, norm) in one.answered.activations.items():
                self._bytes += rows.nbytes
                self._writer(site, rows, {**context, "residual_norm": norm})
        self._writer.end_episode(played.success)
        self._writer.flush()
