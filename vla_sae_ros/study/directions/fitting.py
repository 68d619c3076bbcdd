"""Unit rows fitted to targets: mean differences, linear probes, leading rows of a conceptor."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vla_sae_ros.study.directions.scores import scores

Matrix = npt.NDArray[np.float64]
Fit = Callable[[Matrix, Matrix], Matrix]
"""Gets samples (n, d) and k targets (n, k) without NaN; returns k unit rows (k, d)."""

PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
"""Of a probe, in mean variances of a dimension; one is chosen among training episodes."""
FOLDS = 5


def mean_difference(samples: Matrix, targets: Matrix) -> Matrix:
    """Return how the mean of the samples changes with the target, as unit rows.

    That is the least-squares slope of the samples on the target. With a target of two values it is
    the mean of the samples with the larger one minus that of the others.
    """
    return _unit((targets - targets.mean(0)).T @ samples)


@dataclass(frozen=True)
class Probe:
    """A ridge regression on the target; of a binary one the linear discriminant.

    penalty: in mean variances of a dimension.
    """

    penalty: float

    def __call__(self, samples: Matrix, targets: Matrix) -> Matrix:
        centred = samples - samples.mean(0)
        covariance = centred.T @ centred / len(samples)
        strength = self.penalty * np.trace(covariance) / len(covariance)
        regularised = covariance + strength * np.eye(len(covariance))
        with_target = centred.T @ (targets - targets.mean(0)) / len(samples)
        return _unit(np.linalg.solve(regularised, with_target).T)


def chosen_probe(samples: Matrix, target: Matrix, episode: npt.NDArray[np.int64]) -> Probe:
    """Return the probe whose penalty predicts left-out training episodes best.

    target: (n, 1). episode: (n,) tells the samples' episodes apart.
    """
    fold = np.unique(episode, return_inverse=True)[1] % FOLDS
    found = []
    for penalty in PENALTIES:
        predicted = []
        for number in np.unique(fold):
            left, kept = fold == number, fold != number
            if not (_varies(target[left]) and _varies(target[kept])):
                continue
            row = Probe(penalty)(samples[kept], target[kept])
            predicted.append(scores(samples[left] @ row.T, target[left, 0])[0])
        found.append(np.mean(predicted) if predicted else 0.0)
    return Probe(PENALTIES[int(np.argmax(found))])


def conceptor_rows(samples: Matrix, target: Matrix, rank: int) -> Matrix:
    """Return the `rank` leading rows (rank, d) of the conceptor of the samples whose target is 1.

    A conceptor is R (R + a^-2 I)^-1 with R the correlation of those samples, here about the mean of
    all; its leading rows are R's leading eigenvectors for every aperture a. target: (n, 1).
    """
    inside = samples[target[:, 0] == 1.0] - samples.mean(0)
    rows = np.linalg.svd(inside, full_matrices=False)[2][:rank]
    toward = inside.mean(0) @ rows.T
    return np.where(toward < 0.0, -1.0, 1.0)[:, None] * rows


def _varies(target: Matrix) -> bool:
    return bool(target.min() < target.max())


def _unit(rows: Matrix) -> Matrix:
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-300)
