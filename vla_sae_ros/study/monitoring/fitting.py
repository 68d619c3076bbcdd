"""Fitting scores to episodes, and calibrating their bands on others."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.stats import beta
from sklearn.covariance import LedoitWolf

from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.monitors.band import Band, conformal_quantile, conformal_rank
from vla_sae_ros.monitors.monitor import Calibrated
from vla_sae_ros.monitors.sample import Floats
from vla_sae_ros.monitors.scores import (
    FVU,
    MAHALANOBIS,
    PROBE,
    STILLNESS,
    TIME,
    FvuScore,
    MahalanobisScore,
    Score,
    StillnessScore,
    TimeScore,
)
from vla_sae_ros.monitors.watch import Verdict, Watch
from vla_sae_ros.study.monitoring.episodes import MonitoredEpisode
from vla_sae_ros.study.monitoring.parts import Parts
from vla_sae_ros.study.monitoring.probe_fit import fit_probe

STILLNESS_WINDOW = 1.0
"""[s]: a hand that stands for a single inference has not stopped."""
RUNNING = 0.2
"""Share of the fit episodes that must still run for a band to follow them; later it stays."""
_FLAT = Band(np.zeros(1), np.zeros(1), np.ones(1), 0.0)


def fit_scores(parts: Parts, control_rate: float, seed: int) -> dict[str, Score]:
    """Fit every score that the episodes allow, by name.

    Raises:
        ConfigurationError: activations that do not vary.
    """
    samples = [sample for episode in parts.fit for sample in episode.samples]
    found: dict[str, Score] = {}
    if any(math.isfinite(one.fvu) for one in samples):
        found[FVU] = FvuScore()
    pooled = [one.pooled for one in samples if one.pooled is not None]
    if pooled:
        found[MAHALANOBIS] = fit_mahalanobis(np.stack(pooled))
        probe = fit_probe(parts.fit, parts.failing, seed)
        if probe is not None:
            found[PROBE] = probe
    found[TIME] = TimeScore(control_rate)
    if any(math.isfinite(one.speed) for one in samples):
        found[STILLNESS] = StillnessScore()
    return found


def fit_mahalanobis(x: Floats) -> MahalanobisScore:
    """Return the distance from the activations x (n, d) under Ledoit and Wolf's covariance.

    Raises:
        ConfigurationError: they do not vary.
    """
    fitted = LedoitWolf().fit(x)
    try:
        root = np.linalg.cholesky(fitted.covariance_)
    except np.linalg.LinAlgError as error:
        raise ConfigurationError(
            f"The activations of {len(x)} inferences do not vary: {error}. Collect others."
        ) from error
    whitening = np.linalg.inv(root)
    return MahalanobisScore(fitted.location_.astype(np.float32), whitening.astype(np.float32))


def calibrated(
    name: str, score: Score, window: float, parts: Parts, rate: float, false_alarms: float
) -> Calibrated:
    """Return a score with the band that successes leave with at most a rate `false_alarms`.

    Args:
        name: of the score; the clock's threshold is the same at all times.
        window: [s] over which it is averaged.
        rate: [Hz] of the control steps.

    Raises:
        ConfigurationError: too few calibration episodes, or one in which the score is not known.
    """
    flat = Calibrated(score, window, _FLAT)
    band = _FLAT if name == TIME else _fitted_band(name, flat, parts.fit, rate)
    with_band = Calibrated(score, window, band)
    peaks = [peak(verdicts(with_band, one, rate)) for one in parts.calibration]
    unknown = sum(not math.isfinite(one) for one in peaks)
    if unknown:
        raise ConfigurationError(
            complaint(
                f"calibration episodes in which {name} is never known",
                unknown,
                0,
                "Leave those episodes out, or collect them again.",
            )
        )
    quantile = conformal_quantile(peaks, false_alarms)
    return Calibrated(score, window, Band(band.steps, band.centre, band.scale, quantile))


def verdicts(one: Calibrated, episode: MonitoredEpisode, rate: float) -> list[Verdict]:
    """Return what a score says after each inference of an episode."""
    watch = Watch(one, rate)
    return [watch.feed(sample) for sample in episode.samples]


def peak(said: Sequence[Verdict]) -> float:
    """Return an episode's nonconformity, the largest distance; NaN where none is known."""
    known = [one.distance for one in said if math.isfinite(one.distance)]
    return max(known, default=math.nan)


def rate_range(episodes: int, false_alarms: float) -> tuple[float, float]:
    """Return in which range a monitor's own rate of false alarms is, in 90 of 100 calibrations.

    With k the rank of the threshold among n calibration episodes it has the beta distribution with
    parameters n + 1 - k and k (Vovk 2012), for scores without ties.
    """
    rank = conformal_rank(episodes, false_alarms)
    low, high = beta.ppf((0.05, 0.95), episodes + 1 - rank, rank)
    return float(low), float(high)


def _fitted_band(
    name: str, flat: Calibrated, episodes: Sequence[MonitoredEpisode], rate: float
) -> Band:
    """Return mean and spread of the fit episodes' scores at each time."""
    curves = []
    for episode in episodes:
        said = [one for one in verdicts(flat, episode, rate) if math.isfinite(one.score)]
        if said:
            curves.append((np.array([one.step for one in said]), [one.score for one in said]))
    if not curves:
        raise ConfigurationError(complaint(f"fit episodes in which {name} is known", 0, "1 up"))
    grid = np.unique(np.concatenate([steps for steps, _ in curves]))
    at = np.stack([np.interp(grid, *curve, left=np.nan, right=np.nan) for curve in curves])
    running = np.isfinite(at).sum(0)
    kept = running >= min(len(curves), max(2, math.ceil(RUNNING * len(curves))))
    centre, spread = np.nanmean(at[:, kept], axis=0), np.nanstd(at[:, kept], axis=0)
    least = max(1e-2 * float(spread.mean()), 1e-9 * (1.0 + float(np.abs(centre).max())))
    return Band(grid[kept].astype(np.float64), centre, np.maximum(spread, least), 0.0)
