"""Which pictures a vision model is shown of a feature, and which it is tested on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from vla_sae_ros.activations.archive import ArchiveNames
from vla_sae_ros.activations.codes import coded_episodes
from vla_sae_ros.activations.dataset import ActivationDataset
from vla_sae_ros.activations.frames import FRAMES_FOLDER, frame_name
from vla_sae_ros.sae import SaeBundle
from vla_sae_ros.study.features.labels.proposals import Moment

SHOWN = 6
TESTED = 10
BINS = 10
CLEARLY = 0.25
"""A tested moment fires where the activation is at least this share of the held-out maximum."""


@dataclass(frozen=True)
class Sheet:
    """What a model is shown of one feature; trace: (BINS,) percent, mean over episodes."""

    feature: int
    shown: tuple[Moment, ...]
    contrast: tuple[Moment, ...]
    tested: tuple[Moment, ...]
    fires: tuple[bool, ...]
    trace: tuple[int, ...]


def make_sheets(
    bundle: SaeBundle, dataset: ActivationDataset, held_out: Iterable[str], features: Sequence[int]
) -> list[Sheet]:
    """Choose the pictures for each feature; the same data give the same pictures.

    Args:
        held_out: ids of the episodes of which the tested pictures are.
        features: of the bundle.

    Raises:
        CollectionError: damaged activations or pictures.
    """
    apart, frames = set(held_out), ArchiveNames(dataset.folder, FRAMES_FOLDER)
    training: list[tuple[Moment, np.ndarray]] = []
    tested: list[tuple[Moment, np.ndarray]] = []
    traces: list[np.ndarray] = []
    for one in coded_episodes(bundle, dataset):
        name = one.episode.episode_id
        codes = one.codes[:, list(features)]
        part = tested if name in apart else training
        part += [
            ((name, step), row)
            for step, row in zip(one.steps.tolist(), codes, strict=True)
            if frames.has(name, frame_name(step))
        ]
        if name not in apart:
            at = np.linspace(0, len(codes), BINS + 1).astype(int)
            traces.append(np.stack([_mean(codes[a:b]) for a, b in pairwise(at)]))
    trace = np.mean(traces, axis=0) if traces else np.zeros((BINS, len(features)))
    return [
        _sheet(feature, training, tested, column, trace[:, column])
        for column, feature in enumerate(features)
    ]


def _mean(codes: np.ndarray) -> np.ndarray:
    return codes.mean(axis=0) if len(codes) else np.zeros(codes.shape[1])


def _sheet(
    feature: int,
    training: Sequence[tuple[Moment, np.ndarray]],
    held_out: Sequence[tuple[Moment, np.ndarray]],
    column: int,
    trace: np.ndarray,
) -> Sheet:
    draw = np.random.default_rng(feature)
    ranked = sorted(training, key=lambda one: -float(one[1][column]))
    shown = _of_many_episodes([at for at, row in ranked if row[column] > 0], SHOWN)
    episodes = {name for name, _ in shown}
    silent = [at for at, row in training if row[column] <= 0 and at[0] in episodes]
    largest = max((float(row[column]) for _, row in held_out), default=0.0)
    fires = [at for at, row in held_out if row[column] > 0 and row[column] >= CLEARLY * largest]
    quiet = [at for at, row in held_out if row[column] <= 0]
    half = TESTED // 2
    tested: list[tuple[Moment, bool]] = []
    if len(fires) >= half and len(quiet) >= half:
        tested = [(at, True) for at in _drawn(draw, fires, half)]
        tested += [(at, False) for at in _drawn(draw, quiet, half)]
        draw.shuffle(tested)
    largest = max(float(trace.max(initial=0.0)), 1e-30)
    return Sheet(
        feature,
        tuple(shown),
        tuple(_drawn(draw, silent, SHOWN)),
        tuple((str(at[0]), int(at[1])) for at, _ in tested),
        tuple(bool(fired) for _, fired in tested),
        tuple(round(100 * float(value) / largest) for value in trace),
    )


def _of_many_episodes(ranked: Sequence[Moment], count: int) -> list[Moment]:
    """Return the best moments, one of each episode before any episode's second."""
    first: dict[str, Moment] = {}
    for at in ranked:
        first.setdefault(at[0], at)
    chosen = list(first.values())[:count]
    return chosen + [at for at in ranked if at not in chosen][: count - len(chosen)]


def _drawn(draw: np.random.Generator, moments: Sequence[Moment], count: int) -> list[Moment]:
    at = draw.permutation(len(moments))[:count]
    return [moments[number] for number in sorted(at.tolist())]
