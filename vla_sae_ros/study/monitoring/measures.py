"""What an alarm is worth on episodes that it has not seen."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest, rankdata

from vla_sae_ros.monitors.monitor import Calibrated
from vla_sae_ros.monitors.sample import Floats
from vla_sae_ros.monitors.watch import Verdict
from vla_sae_ros.study.monitoring.episodes import MonitoredEpisode
from vla_sae_ros.study.monitoring.fitting import verdicts

FEWEST = 2
"""Episodes of either kind that an AUROC is of, at the least."""


@dataclass(frozen=True)
class Watched:
    """An episode with what one score said after each of its inferences."""

    episode: MonitoredEpisode
    said: tuple[Verdict, ...]

    @property
    def alarm_step(self) -> int:
        """Control step of the first alarm; -1 without one."""
        return self.said[-1].alarm_step if self.said else -1

    @property
    def peaks(self) -> Floats:
        """Return (T,) the largest distance up to each inference; -inf before any is known."""
        known = [one.distance if math.isfinite(one.distance) else -math.inf for one in self.said]
        return np.maximum.accumulate(np.array(known, np.float64))


@dataclass(frozen=True)
class Share:
    """count of `of` with Wilson's 95 % interval; NaN where there are none."""

    count: int
    of: int

    @property
    def share(self) -> float:
        return self.count / self.of if self.of else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        if not self.of:
            return math.nan, math.nan
        found = binomtest(self.count, self.of).proportion_ci(method="wilson")
        return float(found.low), float(found.high)


@dataclass(frozen=True)
class Auroc:
    """How well the largest distance so far tells failing episodes, among those that still run.

    times: (K,) [s] since the start. every: (K,) over all pairs of a failing and a successful
    episode. within: (K,) over pairs with the same task: it cannot be earned by telling hard tasks
    from easy ones. pairs_within: (K,) their number. NaN where there are too few.
    """

    times: Floats
    every: Floats
    within: Floats
    pairs_within: np.ndarray


@dataclass(frozen=True)
class Worth:
    """One score on one set of episodes.

    lead: [s] from the first alarm to the end, of every failing episode that was caught.
    """

    score: str
    false_alarms: Share
    caught: Share
    lead: Floats
    auroc: Auroc
    watched: tuple[Watched, ...]


def worth(
    scores: Mapping[str, Calibrated], episodes: Sequence[MonitoredEpisode], rate: float
) -> list[Worth]:
    """Measure every score that is known at all in each of the episodes.

    What is never known raises no alarm, which must not be taken for a good sign. `rate` [Hz] of
    the control steps.
    """

    def known(one: Calibrated, episode: MonitoredEpisode) -> bool:
        return any(math.isfinite(one.score(sample)) for sample in episode.samples)

    scores = {
        name: one
        for name, one in scores.items()
        if all(known(one, episode) for episode in episodes)
    }
    return [
        measured(
            name,
            [Watched(episode, tuple(verdicts(one, episode, rate))) for episode in episodes],
            rate,
        )
        for name, one in scores.items()
    ]


def measured(name: str, watched: Sequence[Watched], rate: float) -> Worth:
    """Measure one score; episodes whose success nobody told count nowhere."""
    successes = [one for one in watched if one.episode.success]
    failing = [one for one in watched if one.episode.success is False]
    caught = [one for one in failing if one.alarm_step >= 0]
    lead = np.array([(one.episode.end - one.alarm_step) / rate for one in caught], np.float64)
    return Worth(
        name,
        Share(sum(one.alarm_step >= 0 for one in successes), len(successes)),
        Share(len(caught), len(failing)),
        lead,
        auroc_over_time(successes, failing, rate),
        tuple(watched),
    )


def auroc_over_time(successes: Sequence[Watched], failing: Sequence[Watched], rate: float) -> Auroc:
    """Return the AUROC at every step at which an episode was inferred for."""
    every = [*successes, *failing]
    steps = np.unique([one.step for watched in every for one in watched.said])
    peaks = np.stack([_at(one, steps) for one in every]) if every else np.zeros((0, len(steps)))
    failed = np.arange(len(every)) >= len(successes)
    tasks = np.unique([one.episode.task for one in every], return_inverse=True)[1]
    overall, within, pairs = [], [], []
    for column in peaks.T:
        there = ~np.isnan(column)
        overall.append(
            grouped_auroc(column[there], failed[there], np.zeros(there.sum(), np.int64))[0]
        )
        inside, count = grouped_auroc(column[there], failed[there], tasks[there])
        within.append(inside)
        pairs.append(count)
    return Auroc(steps / rate, np.array(overall), np.array(within), np.array(pairs, np.int64))


def _at(watched: Watched, steps: np.ndarray) -> Floats:
    """Return the largest distance up to each step; NaN after the episode's last inference."""
    own = np.array([one.step for one in watched.said])
    if not len(own):
        return np.full(len(steps), np.nan)
    place = np.searchsorted(own, steps, side="right") - 1
    return np.where((place >= 0) & (steps <= own[-1]), watched.peaks[place], np.nan)


def grouped_auroc(values: Floats, failed: np.ndarray, group: np.ndarray) -> tuple[float, int]:
    """Return the share of pairs in one group in which the failing one is larger, and their number.

    Ties count half. NaN with fewer than FEWEST of a kind that has a partner.
    """
    won, pairs, kinds = 0.0, 0, [0, 0]
    for one in np.unique(group):
        own = group == one
        ones = int(failed[own].sum())
        zeros = int(own.sum()) - ones
        if ones and zeros:
            ranks = rankdata(values[own])[failed[own]].sum()
            won += float(ranks) - ones * (ones + 1) / 2
            pairs += ones * zeros
            kinds = [kinds[0] + zeros, kinds[1] + ones]
    return (won / pairs, pairs) if pairs and min(kinds) >= FEWEST else (math.nan, pairs)
