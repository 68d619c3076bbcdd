"""The stored observations that a screen looks at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vla_sae_ros.activations.dataset import ActivationDataset
from vla_sae_ros.activations.observations import observed_steps, read_observation
from vla_sae_ros.activations.source import PolicyQuery
from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.policy.gradient import Effect
from vla_sae_ros.study.screen.effects import ScreenEffect


@dataclass(frozen=True)
class Looked:
    """One stored observation: its episode's number, what the policy is asked, the effect there."""

    episode: int
    query: PolicyQuery
    effect: Effect


def stored_observations(
    dataset: ActivationDataset, effect: ScreenEffect, count: int
) -> Sequence[Looked]:
    """Return `count` observations, or all, evenly among those that were kept and have the effect.

    Raises:
        ConfigurationError: there is none.
        CollectionError: a damaged file.
    """
    site = next(iter(dataset.collection.sites))
    kept: list[tuple[int, str, int, Effect]] = []
    seen = 0
    for number, episode in enumerate(dataset.episodes):
        steps = {one.step: one for one in dataset.load(site, [episode]).steps}
        for step in observed_steps(dataset.folder, episode.episode_id):
            seen += 1
            found = effect.at(steps[step]) if step in steps else None
            if found is not None:
                kept.append((number, episode.episode_id, step, found))
    if not seen:
        raise ConfigurationError(
            f"{dataset.folder} contains no observations. Collect with --keep-observations."
        )
    if not kept:
        raise ConfigurationError(
            f"None of the {seen} observations in {dataset.folder} has what the effect "
            f"{effect.name!r} needs. Use the simulation's names of objects, e.g. butter_1."
        )
    chosen = np.linspace(0, len(kept) - 1, min(count, len(kept))).round().astype(int)
    looked = []
    for place in chosen.tolist():
        number, episode_id, step, found = kept[place]
        query = read_observation(dataset.folder, episode_id, step)
        assert query is not None  # it was listed
        looked.append(Looked(number, query, found))
    return looked
