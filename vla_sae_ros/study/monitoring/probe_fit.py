"""A success probe over time: logistic regression whose weights change with the time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from vla_sae_ros.monitors.sample import Floats
from vla_sae_ros.monitors.scores import ProbeScore
from vla_sae_ros.study.monitoring.episodes import MonitoredEpisode

KNOTS = 4
RANK = 16
PENALTIES = (0.003, 0.01, 0.03, 0.1, 0.3)
FOLDS = 5
FEWEST = 2
"""Failing episodes that a probe is fitted to, and episodes of either kind at each time."""


@dataclass(frozen=True)
class _Steps:
    """Inferences: x (n, d), step (n,), failed (n,) 0 or 1, episode (n,) their numbers."""

    x: Floats
    step: Floats
    failed: Floats
    episode: np.ndarray

    def of(self, keep: np.ndarray) -> _Steps:
        return _Steps(self.x[keep], self.step[keep], self.failed[keep], self.episode[keep])


def fit_probe(
    successes: Sequence[MonitoredEpisode], failing: Sequence[MonitoredEpisode], seed: int = 0
) -> ProbeScore | None:
    """Fit the log odds of failure; None with too few failing episodes.

    At every time successful and failing episodes weigh the same, and times at which only one kind
    still runs are left out: the probe cannot read the clock. It sees the first RANK principal
    components; weights are linear in time between KNOTS knots. The penalty is chosen by
    cross-validation over episodes.
    """
    if len(failing) < FEWEST:
        return None
    steps = _balanced_times(_steps(successes, failing))
    if not len(steps.x):
        return None
    mean, rows = _components(steps.x)
    knots: Floats = np.unique(np.linspace(steps.step.min(), steps.step.max(), KNOTS))
    terms = _terms((steps.x - mean) @ rows.T, steps.step, knots)
    penalty = _chosen_penalty(terms, steps, seed)
    found = _logistic(terms, steps, penalty).reshape(len(knots), -1)
    weights = found[:, 1:] @ rows
    return ProbeScore(knots, weights, found[:, 0] - weights @ mean)


def _steps(successes: Sequence[MonitoredEpisode], failing: Sequence[MonitoredEpisode]) -> _Steps:
    every = [*successes, *failing]
    told = [
        (sample.pooled, sample.step, float(number >= len(successes)), number)
        for number, episode in enumerate(every)
        for sample in episode.samples
        if sample.pooled is not None
    ]
    x, step, failed, episode = zip(*told, strict=True)
    return _Steps(np.stack(x), np.array(step, np.float64), np.array(failed), np.array(episode))


def _balanced_times(steps: _Steps) -> _Steps:
    """Keep the steps at which at least FEWEST inferences of either kind were made."""
    times, place = np.unique(steps.step, return_inverse=True)
    failing = np.bincount(place, steps.failed, len(times))
    every = np.bincount(place, minlength=len(times))
    fine = (failing >= FEWEST) & (every - failing >= FEWEST)
    return steps.of(fine[place])


def _components(x: Floats) -> tuple[Floats, Floats]:
    """Return the mean (d,) and rows (r, d) that give components of unit variance."""
    mean: Floats = x.mean(0)
    _, spread, rows = np.linalg.svd(x - mean, full_matrices=False)
    spread = spread / np.sqrt(len(x))
    kept = min(RANK, int((spread > 1e-9 * spread[0]).sum()))
    return mean, rows[:kept] / spread[:kept, None]


def _terms(z: Floats, step: Floats, knots: Floats) -> Floats:
    """Return (n, K (1 + r)): 1 and z, each times the share of every knot at the time."""
    shares = np.stack([np.interp(step, knots, row) for row in np.eye(len(knots))], axis=1)
    with_one = np.concatenate([np.ones((len(z), 1)), z], axis=1)
    terms: Floats = (shares[:, :, None] * with_one[:, None, :]).reshape(len(z), -1)
    return terms


def _weights(steps: _Steps) -> Floats:
    """Return weights (n,) that sum to 1: equal for every time, and there for both kinds."""
    times, place = np.unique(steps.step, return_inverse=True)
    failing = np.bincount(place, steps.failed, len(times))[place]
    every = np.bincount(place, minlength=len(times))[place]
    alike = np.where(steps.failed == 1.0, failing, every - failing)
    weights: Floats = 0.5 / alike / len(times)
    return weights / weights.sum()


def _logistic(terms: Floats, steps: _Steps, penalty: float) -> Floats:
    sign, weights = 2.0 * steps.failed - 1.0, _weights(steps)

    def loss(b: Floats) -> tuple[float, Floats]:
        margin = sign * (terms @ b)
        value = weights @ np.logaddexp(0.0, -margin) + penalty * b @ b
        slope = terms.T @ (-weights * sign * np.exp(-np.logaddexp(0.0, margin)))
        return float(value), slope + 2.0 * penalty * b

    start = np.zeros(terms.shape[1])
    found: Floats = minimize(loss, start, jac=True, method="L-BFGS-B").x
    return found


def _chosen_penalty(terms: Floats, steps: _Steps, seed: int) -> float:
    """Return the penalty with the least loss on left-out episodes, both kinds in every fold."""
    fold = np.zeros(int(steps.episode.max()) + 1, np.int64)
    generator = np.random.default_rng(seed)
    for failed in (0.0, 1.0):
        own = generator.permutation(np.unique(steps.episode[steps.failed == failed]))
        fold[own] = np.arange(len(own)) % FOLDS
    of_step = fold[steps.episode]

    def left_out_loss(penalty: float) -> float:
        total = 0.0
        for number in range(FOLDS):
            rest, out = steps.of(of_step != number), steps.of(of_step == number)
            if len(np.unique(rest.failed)) < 2 or len(np.unique(out.failed)) < 2:
                continue
            b = _logistic(terms[of_step != number], rest, penalty)
            margin = (2.0 * out.failed - 1.0) * (terms[of_step == number] @ b)
            total += float(_weights(out) @ np.logaddexp(0.0, -margin))
        return total

    return min(PENALTIES, key=left_out_loss)
