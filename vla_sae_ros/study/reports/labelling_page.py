"""A page on which a person says of some features whether they are general or memorized."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vla_sae_ros.activations.codes import coded_episodes
from vla_sae_ros.activations.dataset import ActivationDataset
from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.sae import SaeBundle
from vla_sae_ros.study.features.feature_activity import FeatureActivity
from vla_sae_ros.study.features.generality.generality_labels import CLASSES
from vla_sae_ros.study.features.labels.top_episodes import Peak
from vla_sae_ros.study.pages.template import write_template_page
from vla_sae_ros.study.reports.contact_frames import Sheet, contact_frames
from vla_sae_ros.study.reports.report_rows import percent


@dataclass(frozen=True)
class LabelsText:
    """The pieces of a labels file, which the page's script only puts together.

    head: begins the file. line: of one feature, with {feature} and {class} to be replaced.
    """

    head: str
    line: str

    @classmethod
    def of(cls, bundle_id: str) -> LabelsText:
        """Return what `GeneralityLabels.load` reads; an id of digits alone must stay text."""
        return cls(f'bundle_id: "{bundle_id}"\nlabels:\n', "  {feature}: {class}\n")


@dataclass(frozen=True)
class _Shown:
    peak: Peak
    instruction: str
    trace: list[int]
    frame: str
    heatmap: str


@dataclass(frozen=True)
class _Asked:
    feature: int
    fired_in: int
    trace: list[int]
    episodes: list[_Shown]


def sample_alive(activity: FeatureActivity, count: int, seed: int) -> list[int]:
    """Return `count` features that fire, drawn at random, in random order.

    Raises ConfigurationError when fewer fire.
    """
    alive = np.flatnonzero(activity.fired_in > 0)
    if not 1 <= count <= len(alive):
        raise ConfigurationError(
            complaint("features to label", count, f"1 to {len(alive)}, those that fire")
        )
    return [int(one) for one in np.random.default_rng(seed).choice(alive, count, replace=False)]


def write_labelling_page(
    path: Path,
    bundle: SaeBundle,
    dataset: ActivationDataset,
    activity: FeatureActivity,
    features: Sequence[int],
    most_frames: float,
) -> None:
    """Write the page; nothing on it tells what the classifier or the labels say."""
    peaks = {feature: activity.top.peaks(feature) for feature in features}
    sheets = [Sheet(feature, own) for feature, own in peaks.items()]
    frames = contact_frames(dataset.folder, bundle.bundle_id, sheets, most_frames)
    traces = _traces(bundle, dataset, peaks)

    def shown(feature: int, peak: Peak) -> _Shown:
        key = (peak.episode_id, peak.step)
        at, drawn = frames.index.get(key), frames.heatmaps.get((*key, feature))
        return _Shown(
            peak,
            activity.instructions[peak.episode_id],
            percent(traces[feature, peak.episode_id]),
            frames.uris[at] if at is not None else "",
            frames.uris[drawn] if drawn is not None else "",
        )

    write_template_page(
        path,
        "labelling.html",
        bundle_id=bundle.bundle_id,
        card=bundle.card,
        classes=CLASSES,
        text=LabelsText.of(bundle.bundle_id),
        episodes=len(activity.instructions),
        frames=frames,
        asked=[
            _Asked(
                feature,
                int(activity.fired_in[feature]),
                percent(activity.mean_trace[:, feature]),
                [shown(feature, peak) for peak in peaks[feature]],
            )
            for feature in features
        ],
    )


def _traces(
    bundle: SaeBundle, dataset: ActivationDataset, peaks: dict[int, tuple[Peak, ...]]
) -> dict[tuple[int, str], np.ndarray]:
    """Return the codes (T,) of each feature in each of its episodes."""
    wanted: dict[str, list[int]] = {}
    for feature, own in peaks.items():
        for peak in own:
            wanted.setdefault(peak.episode_id, []).append(feature)
    episodes = [one for one in dataset.episodes if one.episode_id in wanted]
    return {
        (feature, one.episode.episode_id): one.codes[:, feature].copy()
        for one in coded_episodes(bundle, dataset, episodes)
        for feature in wanted[one.episode.episode_id]
    }
