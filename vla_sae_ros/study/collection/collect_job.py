"""One episode to collect as a job: a simulator plays it, a policy with probes answers elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vla_sae_ros.activations.pictures import PictureFile, picture_files
from vla_sae_ros.activations.source import PolicyQuery
from vla_sae_ros.sim.environment import Environment
from vla_sae_ros.study.batches.jobs import Ask, Session
from vla_sae_ros.study.collection.answered_query import AnsweredQuery
from vla_sae_ros.study.rollouts.playing import play_trial
from vla_sae_ros.study.rollouts.rollout_job import trial_name
from vla_sae_ros.study.rollouts.trials import Trial


@dataclass(frozen=True)
class CollectedInference:
    """One inference of a collected episode: what was asked, without pictures, and what came."""

    query: PolicyQuery
    answered: AnsweredQuery


@dataclass(frozen=True)
class CollectedEpisode:
    """An episode, on its way to the disk."""

    success: bool
    inferences: Sequence[CollectedInference]
    pictures: Sequence[PictureFile]


@dataclass(frozen=True)
class CollectJob:
    """See `batches.jobs.Job`; a question is a `PolicyQuery`, its answer an `AnsweredQuery`.

    sites, pooling: what the probes read. frame_height, observations: see `EpisodePictures`.
    """

    episode_id: str
    trial: Trial
    execute_steps: int
    sites: tuple[str, ...]
    pooling: str
    frame_height: int
    observations: bool

    @property
    def name(self) -> str:
        return trial_name(self.trial)

    def play(self, player: Environment, ask: Ask) -> CollectedEpisode:
        inferences: list[CollectedInference] = []
        pictures: list[PictureFile] = []

        def answer(query: PolicyQuery) -> np.ndarray:
            answered: AnsweredQuery = ask(query)
            pictures.extend(picture_files(query, self.frame_height, self.observations))
            inferences.append(CollectedInference(_without_pictures(query), answered))
            return answered.actions

        success = play_trial(player, self.trial, self.execute_steps, answer)
        return CollectedEpisode(success, inferences, pictures)

    def session(self, answering: Any) -> Session:
        # PyTorch is of the policy's process only: a simulator's is half a gigabyte smaller.
        from vla_sae_ros.study.collection.probed_rows import ProbedRows

        return ProbedRows(answering.engine, self.sites, self.pooling)


def _without_pictures(query: PolicyQuery) -> PolicyQuery:
    vectors = {name: value for name, value in query.frame.items() if value.ndim == 1}
    return PolicyQuery(vectors, query.instruction, query.seed, query.step, query.object_positions)
