"""The generality metric: what tells a general feature from a memorized one.

Swann et al. 2026 (arXiv 2603.19183, "Dr.VLA"). Their text averages onset counts and run lengths
over all active episodes; their published data average over those with an onset, and so does this.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.study.features.generality.generality_classifier import GeneralityClassifier

__all__ = ["TAU", "EpisodeStatistics", "FeatureMetrics", "GeneralityClassifier", "feature_metrics"]

Floats = npt.NDArray[np.float64]

TAU = 0.1
"""The published onset threshold, for codes of samples of unit length."""


@dataclass(frozen=True)
class FeatureMetrics:
    """The generality metric of F features over E episodes. Every array is (F,) float64.

    coverage: c, share of episodes with an activation above 0.
    onset_count: o, onsets per episode, over episodes with at least one; 0 without any.
    magnitude: a, mean of the largest activation of an episode, over episodes with one above 0.
    relative_run_length: l, mean of (steps on / onsets / length) over episodes with an onset.
    run_length: mean of (steps on / onsets) [steps] over episodes with an onset.
    """

    coverage: Floats
    onset_count: Floats
    magnitude: Floats
    relative_run_length: Floats
    run_length: Floats

    @property
    def alive(self) -> npt.NDArray[np.bool_]:
        """Return (F,): which features fire at all; the others have no class."""
        return self.coverage > 0


@dataclass(frozen=True)
class EpisodeStatistics:
    """What the metric needs of each episode: arrays (E, F).

    largest: float32, largest activation. onsets: int32. run_length: float32 [steps], 0 without
    an onset. length: (E,) int64 [steps].
    """

    largest: npt.NDArray[np.float32]
    onsets: npt.NDArray[np.int32]
    run_length: npt.NDArray[np.float32]
    length: npt.NDArray[np.int64]

    @classmethod
    def of(cls, episodes: Iterable[np.ndarray], tau: float | np.ndarray = TAU) -> EpisodeStatistics:
        """Read episodes one at a time; see `feature_metrics` for arguments and errors."""
        rows = [
            _one_episode(number, activations, tau) for number, activations in enumerate(episodes)
        ]
        if not rows:
            raise ConfigurationError(complaint("episodes to measure", 0, "at least one"))
        widths = {len(row[0]) for row in rows}
        if len(widths) > 1:
            raise ConfigurationError(
                complaint("numbers of features", sorted(widths), "the same in every episode")
            )
        largest, onsets, run_length, length = zip(*rows, strict=True)
        return cls(
            np.stack(largest), np.stack(onsets), np.stack(run_length), np.array(length, np.int64)
        )

    def metrics(self, weights: np.ndarray | None = None) -> FeatureMetrics:
        """Return the metric; `weights` (E,) counts each episode that often, as a bootstrap does.

        With `weights` (B, E) every array of the result is (B, F).
        """
        count = np.ones(len(self.length)) if weights is None else np.asarray(weights, np.float64)
        n_active, n_onset = count @ (self.largest > 0), count @ (self.onsets > 0)
        relative = self.run_length / self.length[:, None]
        return FeatureMetrics(
            coverage=n_active / count.sum(axis=-1, keepdims=True),
            onset_count=_mean(count @ self.onsets, n_onset),
            magnitude=_mean(count @ self.largest, n_active),
            relative_run_length=_mean(count @ relative, n_onset),
            run_length=_mean(count @ self.run_length, n_onset),
        )


def feature_metrics(
    episodes: Iterable[np.ndarray], tau: float | np.ndarray = TAU
) -> FeatureMetrics:
    """Measure every feature over episodes, which are read one at a time.

    A feature's state starts off, goes on where f > tau and off only where f == 0; in between it
    holds. An onset is a step from off to on.

    Args:
        episodes: arrays (T, F) of activations f >= 0, T may differ.
        tau: onset threshold, one or (F,). The published 0.1 suits codes of samples of unit length;
            divide other codes by the length of the SAE's normalised input first, or scale tau.

    Raises:
        ConfigurationError: an empty episode, a negative or non-finite activation, or episodes of
            different numbers of features.
    """
    return EpisodeStatistics.of(episodes, tau).metrics()


def _one_episode(
    number: int, activations: np.ndarray, tau: float | np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    f = np.asarray(activations)
    if f.ndim != 2 or len(f) == 0:
        raise ConfigurationError(
            complaint(f"shape of episode {number}", f.shape, "(T, F) with at least one step")
        )
    largest = f.max(axis=0)
    smallest = f.min()
    if not (np.isfinite(largest).all() and smallest >= 0):
        raise ConfigurationError(
            complaint(
                f"activations of episode {number}",
                f"from {smallest} to {largest.max()}",
                "finite numbers from 0 on",
            )
        )
    on = _hysteresis(f > tau, f != 0)
    onsets = on[0].astype(np.int32) + (on[1:] & ~on[:-1]).sum(axis=0, dtype=np.int32)
    steps = on.sum(axis=0, dtype=np.int32)
    return largest.astype(np.float32), onsets, (steps / np.maximum(onsets, 1)).astype("f4"), len(f)


def _hysteresis(above: np.ndarray, nonzero: np.ndarray) -> np.ndarray:
    """Return (T, F) bool: on where above, off where zero, otherwise as before.

    A loop over steps: each touches F bytes, which is quicker than any whole-array formulation.
    """
    on = above  # overwritten from the first step to the last
    for t in range(1, len(on)):
        on[t] |= on[t - 1] & nonzero[t]
    return on


def _mean(total: np.ndarray, count: np.ndarray) -> Floats:
    return total / np.maximum(count, 1)
