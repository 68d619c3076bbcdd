"""What each feature does over a set of episodes: how often, how strongly, and with what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from vla_sae_ros.activations.dataset import SiteActivations
from vla_sae_ros.sae import SparseAutoencoder
from vla_sae_ros.sae.training.metrics import sink_length
from vla_sae_ros.study.features.state_variable import StateVariable

_MOST_NUMBERS = 2**23
"""Codes held at once: 32 MiB."""


@dataclass(frozen=True)
class FeatureStatistics:
    """Statistics of F features over n inferences of some episodes.

    An inference of several rows (tokens) counts once, with the largest code among them. Attention
    sinks, tokens many times as long as the others, are left out: theirs would hide the others'.
    Of a feature that fires in sinks only, observed_max is theirs; it is counted in no inference.
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
    """Return the statistics of every feature over `data`.

    Codes are made `chunk` inferences at a time, fewer where many tokens or features would make that
    too many numbers. Each variable's values belong to `data.steps`.
    """
    size, n = sae.dictionary_size, len(data.steps)
    largest = np.zeros(size, np.float32)
    fired = np.zeros(size, np.int64)
    fired_in = np.zeros((int(data.episode.max(initial=-1)) + 1, size), bool)
    sums = _CorrelationSums(size, variables)
    rows = max(1, len(data.rows) // max(1, n))
    chunk = max(1, min(chunk, _MOST_NUMBERS // (size * rows)))
    longest = sink_length(data.rows) if rows > 1 else np.inf
    in_sinks = np.zeros(size, np.float32)
    for start in range(0, n, chunk):
        chosen = slice(start, min(start + chunk, n))
        code, sinks = _codes(sae, data, chosen, longest)
        in_sinks = np.maximum(in_sinks, sinks)
        active = code > 0
        largest = np.maximum(largest, code.max(axis=0))
        fired += active.sum(axis=0)
        for number in np.unique(data.episode[chosen]):
            fired_in[number] |= active[data.episode[chosen] == number].any(axis=0)
        sums.add(code.astype(np.float64), chosen)
    return FeatureStatistics(
        observed_max=np.where(largest > 0, largest, in_sinks),
        density=fired / n,
        coverage=fired_in.mean(axis=0),
        inferences=fired,
        episodes=fired_in.sum(axis=0),
        variables=tuple(one.name for one in variables),
        correlation=sums.pearson(),
    )


@torch.inference_mode()
def _codes(
    sae: SparseAutoencoder, data: SiteActivations, steps: slice, longest: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return (steps, F), the largest code of each inference's ordinary rows, and (F,) the sinks'.

    Rows longer than `longest` are sinks.
    """
    first = data.first_row
    begin = int(first[steps.start])
    end = int(first[steps.stop]) if steps.stop < len(first) else len(data.rows)
    found = np.zeros((steps.stop - steps.start, sae.dictionary_size), np.float32)
    in_sinks = np.zeros(sae.dictionary_size, np.float32)
    block = max(1, _MOST_NUMBERS // sae.dictionary_size)
    for start in range(begin, end, block):
        rows = data.rows[start : min(start + block, end)]
        code = sae.encode(torch.from_numpy(rows).to(sae.b_dec.device)).cpu().numpy()
        is_sink = np.linalg.norm(rows, axis=1) > longest
        in_sinks = np.maximum(in_sinks, code[is_sink].max(axis=0, initial=0.0))
        code[is_sink] = 0.0
        of_step = np.searchsorted(first, np.arange(start, start + len(rows)), side="right") - 1
        there, at = np.unique(of_step - steps.start, return_index=True)
        found[there] = np.maximum(found[there], np.maximum.reduceat(code, at, axis=0))
    return found, in_sinks


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
