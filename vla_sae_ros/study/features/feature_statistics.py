"""What each feature does over a set of episodes: how often, how strongly, and with what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from vla_sae_ros.activations.dataset import SiteActivations
from vla_sae_ros.sae import SparseAutoencoder
from vla_sae_ros.study.features.state_variable import StateVariable


@dataclass(frozen=True)
class FeatureStatistics:
    """Statistics of F features over n inferences of some episodes.

    An inference of several rows (tokens) counts once, with the largest code among them.
    observed_max: (F,) float32, largest code. density: (F,) share of inferences in which it fires.
    coverage: (F,) share of episodes in which it fires. inferences and episodes: (F,) int64, how
    many those are. variables: (V,) names. correlation: (V, F) float64 Pearson's r of the code with
    each variable where that is known; NaN where either is constant.
    """

    observed_max: np.ndarray
    density: np.ndarray
    coverage: np.ndarray
    inferences: np.ndarray
    episodes: np.ndarray
    variables: tuple[str, ...]
    correlation: np.ndarray


def feature_statistics(
    sae: SparseAutoencoder,
    data: SiteActivations,
    variables: Sequence[StateVariable] = (),
    chunk: int = 1024,
) -> FeatureStatistics:
    """Return the statistics of every feature over `data`; codes are made `chunk` steps at a time.

    Each variable's values belong to `data.steps`.
    """
    size, n = sae.dictionary_size, len(data.steps)
    largest = np.zeros(size, np.float32)
    fired = np.zeros(size, np.int64)
    fired_in = np.zeros((int(data.episode.max(initial=-1)) + 1, size), bool)
    sums = _CorrelationSums(size, variables)
    for start in range(0, n, chunk):
        chosen = slice(start, min(start + chunk, n))
        code = _codes(sae, data, chosen)
        active = code > 0
        largest = np.maximum(largest, code.max(axis=0))
        fired += active.sum(axis=0)
        for number in np.unique(data.episode[chosen]):
            fired_in[number] |= active[data.episode[chosen] == number].any(axis=0)
        sums.add(code.astype(np.float64), chosen)
    return FeatureStatistics(
        observed_max=largest,
        density=fired / n,
        coverage=fired_in.mean(axis=0),
        inferences=fired,
        episodes=fired_in.sum(axis=0),
        variables=tuple(one.name for one in variables),
        correlation=sums.pearson(),
    )


@torch.inference_mode()
def _codes(sae: SparseAutoencoder, data: SiteActivations, steps: slice) -> np.ndarray:
    """Return (steps, F) float32, the largest code of each inference's rows."""
    first = data.first_row
    begin = first[steps.start]
    end = first[steps.stop] if steps.stop < len(first) else len(data.rows)
    code = sae.encode(torch.from_numpy(data.rows[begin:end]).to(sae.b_dec.device)).cpu().numpy()
    return np.maximum.reduceat(code, first[steps] - begin, axis=0)


class _CorrelationSums:
    """Sums for Pearson's r of F codes with V variables, each over its known steps only.

    Only the steps of one `add` are held at once, beside the variables themselves.
    """

    def __init__(self, size: int, variables: Sequence[StateVariable]) -> None:
        self._given = [one.values for one in variables]
        known = [values[np.isfinite(values)].astype(np.float64) for values in self._given]
        self._n = _column([len(values) for values in known])
        self._mean = _column([values.mean() if len(values) else 0.0 for values in known])
        self._square = _column(
            [np.square(values - values.mean()).sum() if len(values) else 0.0 for values in known]
        )
        self._z, self._zz, self._zv = (np.zeros((len(variables), size)) for _ in range(3))

    def add(self, code: np.ndarray, steps: slice) -> None:
        values = np.array([one[steps] for one in self._given], np.float64).reshape(-1, len(code))
        is_known = np.isfinite(values)
        known = is_known.astype(np.float64)
        self._z += known @ code
        self._zz += known @ np.square(code)
        # About the mean of the known values, so that their sum with anything is a covariance.
        self._zv += np.where(is_known, values - self._mean, 0.0) @ code

    def pearson(self) -> np.ndarray:
        spread = self._zz - np.square(self._z) / np.maximum(self._n, 1)
        floor = 1e-12 * np.maximum(self._zz, 1e-30)
        usable = (spread > floor) & (self._square > 1e-20)
        below = np.sqrt(np.where(usable, spread * self._square, 1.0))
        return np.where(usable, self._zv / below, np.nan)


def _column(values: Sequence[float]) -> np.ndarray:
    return np.array(values, np.float64).reshape(-1, 1)
