"""What a fitted direction is worth: on episodes it has not seen, and against what."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from vla_sae_ros.sae import SaeBundle
from vla_sae_ros.study.directions.fitting import Fit, Matrix
from vla_sae_ros.study.directions.scores import chance, measure, scores

SHUFFLES = 100


@dataclass(frozen=True)
class BestFeature:
    """The SAE feature that tells a target best on the training episodes, and its held-out score."""

    bundle_id: str
    feature: int
    score: float


@dataclass(frozen=True)
class Evidence:
    """What a direction reached on held-out episodes.

    measure: "AUROC" or "r". score: the direction's. shuffled_mean, shuffled_95: mean and 95th
    percentile of the scores of directions fitted to the shuffled target in the same way; NaN where
    nothing was fitted to it. steps, episodes: how many were held out. feature: the best single
    SAE feature; None where no SAE was named.
    """

    measure: str
    score: float
    shuffled_mean: float
    shuffled_95: float
    steps: int
    episodes: int
    feature: BestFeature | None

    @property
    def words(self) -> str:
        """One sentence for the catalogue."""
        against = f"shuffled target {self.shuffled_mean:.2f}, 95 % below {self.shuffled_95:.2f}"
        best = self.feature
        against += f"; best SAE feature, #{best.feature}, {best.score:.2f}" if best else ""
        return (
            f"{self.measure} {self.score:.2f} on {self.steps} steps of {self.episodes} held-out "
            f"episodes ({against})."
        )


@dataclass(frozen=True)
class Samples:
    """Steps of some episodes at which a target is known: x (n, d), target (n,), episode (n,)."""

    x: Matrix
    target: npt.NDArray[np.float64]
    episode: npt.NDArray[np.int64]

    @classmethod
    def known(
        cls, x: Matrix, target: npt.NDArray[np.float64], episode: npt.NDArray[np.int64]
    ) -> Samples:
        """Leave out the steps whose target is NaN."""
        there = np.isfinite(target)
        return cls(x[there], target[there], episode[there])


def evidence(
    fit: Fit,
    row: npt.NDArray[np.float64],
    training: Samples,
    held_out: Samples,
    sae: SaeBundle | None,
    seed: int,
) -> Evidence:
    """Return what the unit `row` (d,), fitted to the training samples by `fit`, is worth."""
    generator = np.random.default_rng(seed)
    shuffled = np.stack([_shuffled(training, generator) for _ in range(SHUFFLES)], axis=1)
    null = scores(held_out.x @ fit(training.x, shuffled).T, held_out.target)
    return Evidence(
        measure(held_out.target),
        float(scores(held_out.x @ row[:, None], held_out.target)[0]),
        float(null.mean()),
        float(np.percentile(null, 95)),
        len(held_out.target),
        len(np.unique(held_out.episode)),
        None if sae is None else best_feature(sae, training, held_out),
    )


def best_feature(sae: SaeBundle, training: Samples, held_out: Samples) -> BestFeature:
    """Choose the feature on the training samples, with its sign; score it on the held-out ones."""
    middle = chance(training.target)
    seen = scores(_codes(sae, training.x), training.target) - middle
    feature = int(np.abs(seen).argmax())
    code = _codes(sae, held_out.x)[:, [feature]]
    score = float(scores(code, held_out.target)[0]) - middle
    return BestFeature(
        sae.bundle_id, feature, middle + math.copysign(1.0, float(seen[feature])) * score
    )


def _shuffled(training: Samples, generator: np.random.Generator) -> npt.NDArray[np.float64]:
    """Return the target, given to other steps; of whole episodes, where it is one of those."""
    episodes, first, of = np.unique(training.episode, return_index=True, return_inverse=True)
    by_episode = training.target[first]
    if np.array_equal(by_episode[of], training.target):
        given: npt.NDArray[np.float64] = by_episode[generator.permutation(len(episodes))][of]
        return given
    return training.target[generator.permutation(len(training.target))]


@torch.inference_mode()
def _codes(sae: SaeBundle, x: Matrix) -> npt.NDArray[np.float64]:
    codes = sae.sae.encode(torch.from_numpy(x.astype(np.float32)))
    return codes.numpy().astype(np.float64)
