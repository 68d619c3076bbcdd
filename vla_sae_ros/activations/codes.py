"""The codes of whole episodes, one episode in memory at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from vla_sae_ros.activations.dataset import ActivationDataset, SiteActivations
from vla_sae_ros.activations.format import EpisodeRecord
from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.sae import SaeBundle

_MOST_NUMBERS = 2**23
"""Codes held at once beside an episode's own: 32 MiB."""


@dataclass(frozen=True)
class CodedEpisode:
    """One episode. steps: (T,) int64, control step of each inference. codes: (T, F) float32."""

    episode: EpisodeRecord
    steps: np.ndarray
    codes: np.ndarray


def coded_episodes(
    bundle: SaeBundle,
    dataset: ActivationDataset,
    episodes: Sequence[EpisodeRecord] | None = None,
    unit_length: bool = False,
) -> Iterator[CodedEpisode]:
    """Yield the codes of each episode; of several rows (tokens) the largest counts.

    Args:
        bundle: its site is read.
        dataset: collected from the bundle's policy.
        episodes: default all.
        unit_length: divide each code by the length of the SAE's normalised input, so that it is
            comparable with codes of samples of unit length, as the generality metric's are. Of a
            sample without any length all codes are 0.

    Raises:
        ConfigurationError: activations of another policy, site, pooling or width.
        CollectionError: a shard that is missing, truncated or not finite.
    """
    check_collected_for(bundle, dataset)
    chosen = dataset.episodes if episodes is None else episodes
    for episode in chosen:
        data = dataset.load(bundle.card.policy_site, [episode])
        codes = _largest_codes(bundle, data, unit_length)
        yield CodedEpisode(episode, np.array([one.step for one in data.steps]), codes)


def episode_codes(
    bundle: SaeBundle,
    dataset: ActivationDataset,
    episodes: Sequence[EpisodeRecord] | None = None,
    unit_length: bool = False,
) -> Iterator[np.ndarray]:
    """Yield (T, F) float32 codes of each episode; see `coded_episodes`."""
    for one in coded_episodes(bundle, dataset, episodes, unit_length):
        yield one.codes


def _largest_codes(bundle: SaeBundle, data: SiteActivations, unit_length: bool) -> np.ndarray:
    """Return (T, F): the largest code of each inference's rows, a few rows in memory at a time."""
    size = bundle.card.dictionary_size
    largest = np.full((len(data.steps), size), -np.inf, np.float32)
    block = max(1, _MOST_NUMBERS // size)
    for start in range(0, len(data.rows), block):
        codes = _codes(bundle, data.rows[start : start + block], unit_length)
        row = np.arange(start, start + len(codes))
        step, at = np.unique(
            np.searchsorted(data.first_row, row, side="right") - 1, return_index=True
        )
        largest[step] = np.maximum(largest[step], np.maximum.reduceat(codes, at, axis=0))
    return largest


@torch.inference_mode()
def _codes(bundle: SaeBundle, rows: np.ndarray, unit_length: bool) -> np.ndarray:
    x = torch.from_numpy(rows)
    codes = bundle.sae.encode(x)
    if unit_length:
        length = bundle.sae.normalize(x)[0].norm(dim=-1, keepdim=True)
        codes = torch.where(length > 0, codes / length, 0.0)
    return codes.numpy()


def check_collected_for(bundle: SaeBundle, dataset: ActivationDataset) -> None:
    """Raise ConfigurationError: activations of another policy, site, pooling or width."""
    card, collection = bundle.card, dataset.collection
    site = collection.sites.get(card.policy_site)
    if site is None:
        raise ConfigurationError(
            f"{dataset.folder} has no activations at {card.policy_site}, which the bundle was "
            f"trained on; it has {sorted(collection.sites)}. Collect that site."
        )
    said = {"policy id": card.policy_id, "pooling": card.pooling, "width": card.d_in}
    found = {"policy id": collection.policy_id, "pooling": site.pooling, "width": site.width}
    differing = [
        f"{name} (bundle {said[name]!r}, activations {found[name]!r})"
        for name in said
        if said[name] != found[name]
    ]
    if differing:
        raise ConfigurationError(
            f"The activations in {dataset.folder} do not fit the bundle: {', '.join(differing)} "
            "differ. Collect with the bundle's policy and pooling."
        )
