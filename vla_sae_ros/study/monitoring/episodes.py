"""Episodes as a monitor hears them, from collected activations."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from vla_sae_ros.activations.codes import check_collected_for
from vla_sae_ros.activations.dataset import ActivationDataset, SiteActivations
from vla_sae_ros.activations.format import EpisodeRecord
from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.monitors.sample import Floats, Sample
from vla_sae_ros.sae import SaeBundle
from vla_sae_ros.study.features.state_variables import state_variables

_SPEED = "end-effector speed"


@dataclass(frozen=True)
class MonitoredEpisode:
    """One episode.

    task: the instruction, or what else tells episodes apart that cannot be compared. success: None
    where nobody said. end: control step at which it ended. mark: 16 hex digits of its id and first
    activations: the same wherever a copy of it lies.
    """

    episode_id: str
    task: str
    success: bool | None
    samples: tuple[Sample, ...]
    end: int
    mark: str


def monitored_episodes(dataset: ActivationDataset, sae: SaeBundle) -> list[MonitoredEpisode]:
    """Return every complete episode as the tap of an SAE would have read it.

    Raises:
        ConfigurationError: activations of another policy, site, pooling, width or token groups.
        CollectionError: a shard that is missing, truncated or not finite.
    """
    check_read_as_tapped(dataset, sae)
    return [
        _monitored(episode, dataset.load(sae.card.policy_site, [episode]), dataset, sae)
        for episode in dataset.episodes
    ]


def check_read_as_tapped(dataset: ActivationDataset, sae: SaeBundle) -> None:
    """Raise ConfigurationError unless the tap of this SAE reads what was collected."""
    check_collected_for(sae, dataset)
    groups = dataset.collection.sites[sae.card.policy_site].token_groups
    if set(groups) != set(sae.card.token_groups):
        raise ConfigurationError(
            complaint(
                f"token groups of the activations in {dataset.folder}",
                groups,
                f"{sae.card.token_groups}, as the SAE reads",
            )
        )


def interval_of(episodes: Sequence[MonitoredEpisode]) -> int:
    """Return the median number of control steps from one inference to the next; 1 without any."""
    steps = [np.diff([one.step for one in episode.samples]) for episode in episodes]
    passed = np.concatenate([np.zeros(0, np.int64), *steps])
    return int(np.median(passed[passed > 0])) if (passed > 0).any() else 1


def _monitored(
    episode: EpisodeRecord, data: SiteActivations, dataset: ActivationDataset, sae: SaeBundle
) -> MonitoredEpisode:
    rate = dataset.collection.control_rate
    speeds = _speeds(data, rate, dataset.collection.state_names)
    samples, digest = [], hashlib.sha256(episode.episode_id.encode())
    for number, (step, rows) in enumerate(zip(data.steps, inference_rows(data), strict=True)):
        if number == 0:
            digest.update(rows.tobytes())
        pooled: Floats = rows.astype(np.float64).mean(0)
        samples.append(Sample(step.step, unexplained(sae, rows), pooled, float(speeds[number])))
    steps = [one.step for one in samples]
    end = steps[-1] + (steps[-1] - steps[-2] if len(steps) > 1 else 1)
    task = episode.instruction or episode.task
    return MonitoredEpisode(
        episode.episode_id, task, episode.success, tuple(samples), end, digest.hexdigest()[:16]
    )


def inference_rows(data: SiteActivations) -> Iterator[np.ndarray]:
    """Yield the (rows, d) of each inference."""
    for first, step in zip(data.first_row, data.steps, strict=True):
        yield data.rows[first : first + step.rows]


def _speeds(data: SiteActivations, rate: float, names: Sequence[str]) -> np.ndarray:
    """Return the hand's speed (n,) [m/s] since the inference before; NaN where it is not known."""
    for variable in state_variables(data.steps, data.episode, rate, names):
        if variable.name == _SPEED:
            return variable.values
    return np.full(len(data.steps), np.nan)


@torch.inference_mode()
def unexplained(sae: SaeBundle, rows: np.ndarray) -> float:
    """Return the FVU of one inference, as a tap's read-out measures it."""
    normalised = sae.sae.normalize(torch.from_numpy(rows))[0]
    code = sae.sae.encode_normalized(normalised)
    return float(sae.sae.fraction_unexplained(normalised, code))
