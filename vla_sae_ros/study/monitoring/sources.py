"""What `vla-sae monitor score` measures on: folders of activations, and bags."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vla_sae_ros.activations.dataset import ActivationDataset
from vla_sae_ros.activations.format import COLLECTION_FILE
from vla_sae_ros.bags.episode_trace import EpisodeTrace
from vla_sae_ros.bags.reading import Bag, read_bag
from vla_sae_ros.bags.storage.findings import Findings
from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.monitors.card import MonitorCard
from vla_sae_ros.monitors.sample import Floats, Sample
from vla_sae_ros.sae import SaeBundle
from vla_sae_ros.study.monitoring.episodes import MonitoredEpisode, monitored_episodes


@dataclass(frozen=True)
class Source:
    """Episodes that the monitor has not seen.

    seen: how many more there were that it was fitted to or calibrated on. findings: of a bag.
    """

    name: str
    episodes: tuple[MonitoredEpisode, ...]
    seen: int
    findings: tuple[Findings, ...] = ()


def is_activations(folder: Path) -> bool:
    """Tell whether a folder is one of collected activations."""
    return (folder / COLLECTION_FILE).is_file()


def read_source(folder: Path, card: MonitorCard, sae: SaeBundle | None) -> Source:
    """Read a folder of activations, or a bag.

    Args:
        folder: of either.
        card: the monitor's.
        sae: the monitor's SAE; for activations only.

    Raises:
        ConfigurationError: made by another policy or SAE, at another rate, without the site, or
            nothing in it that the monitor has not seen.
        RecordingError: no bag.
    """
    if is_activations(folder):
        assert sae is not None
        dataset = ActivationDataset.open(folder)
        _check(folder, card, dataset.collection.policy_id, card.bundle_id)
        _check_rate(folder, card, dataset.collection.control_rate)
        episodes, findings = monitored_episodes(dataset, sae), []
    else:
        bag = read_bag(folder, pictures=False)
        episodes, findings = bag_episodes(bag, folder, card), [bag.findings]
    new = tuple(one for one in episodes if one.mark not in card.seen)
    if not new:
        raise ConfigurationError(
            complaint(
                f"episodes in {folder} that the monitor has not seen",
                f"0 of {len(episodes)}",
                "1 or more",
                "Collect others, or leave some out of --fit and --calibration.",
            )
        )
    return Source(folder.name, new, len(episodes) - len(new), tuple(findings))


def bag_episodes(bag: Bag, folder: Path, card: MonitorCard) -> list[MonitoredEpisode]:
    """Return the episodes of a bag whose features at the monitor's site were recorded.

    Raises:
        ConfigurationError: of another policy or SAE, or without such an episode.
    """
    told = [one.values for one in bag.descriptions if "policy_id" in one.values]
    for values in told:
        _check(folder, card, values["policy_id"], values.get(f"bundle_id.{card.site}", ""))
    if not told:
        raise ConfigurationError(
            f"{folder} does not record its policy: it contains no description of a policy node."
        )
    found = [one for one in bag.episodes if card.site in one.features]
    if not found:
        raise ConfigurationError(
            complaint(f"episodes in {folder} with features at {card.site}", 0, "1 or more")
        )
    for episode in found:
        if episode.control_rate:
            _check_rate(folder, card, episode.control_rate)
    return [_of_bag(one, card) for one in found]


def speeds(step: Sequence[int], trace: EpisodeTrace) -> Floats:
    """Return the hand's mean speed (n,) [m/s] since the inference before; NaN where unknown."""
    found = np.full(len(step), np.nan)
    known = {int(at): place for place, at in enumerate(trace.position.step)}
    for number in range(1, len(step)):
        before, now = known.get(int(step[number - 1])), known.get(int(step[number]))
        ticks = int(step[number]) - int(step[number - 1])
        if before is not None and now is not None and ticks > 0 and trace.control_rate:
            gone = np.linalg.norm(trace.position.values[now] - trace.position.values[before])
            found[number] = gone / ticks * trace.control_rate
    return found


def _of_bag(trace: EpisodeTrace, card: MonitorCard) -> MonitoredEpisode:
    stream = trace.features[card.site]
    speed = speeds(stream.step.tolist(), trace)
    pooled = stream.pooled
    samples = tuple(
        Sample(
            int(step),
            float(stream.fvu[number]),
            None if pooled is None else pooled[number].astype(np.float64),
            float(speed[number]),
        )
        for number, step in enumerate(stream.step)
    )
    mark = hashlib.sha256(trace.episode_id.encode() + stream.natural.tobytes()).hexdigest()[:16]
    return MonitoredEpisode(
        trace.episode_id, trace.instruction, trace.status.success, samples, trace.steps, mark
    )


def _check(folder: Path, card: MonitorCard, policy_id: str, bundle_id: str) -> None:
    for what, got, wanted in (
        ("policy", policy_id, card.policy_id),
        (f"SAE at {card.site}", bundle_id, card.bundle_id),
    ):
        if got != wanted:
            raise ConfigurationError(
                complaint(f"{what} of {folder}", got, f"{wanted!r}, which the monitor is of")
            )


def _check_rate(folder: Path, card: MonitorCard, rate: float) -> None:
    if not np.isclose(rate, card.control_rate):
        raise ConfigurationError(
            complaint(f"control rate of {folder} [Hz]", rate, f"{card.control_rate:g}")
        )
