"""Shares of general features and their intervals."""

from __future__ import annotations

import numpy as np
import pytest

from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.study.features.generality.generality import EpisodeStatistics, GeneralityClassifier
from vla_sae_ros.study.features.generality.generality_share import (
    general_share,
    share_difference,
    shares_by_outcome,
)

LIBERO = GeneralityClassifier.published("libero")


def statistics(seed: int, busy: int, episodes: int = 20) -> EpisodeStatistics:
    """Of 20 features `busy` fire often in every episode, the others once in one episode."""
    generator = np.random.default_rng(seed)
    made = []
    for number in range(episodes):
        f = np.zeros((30, 20))
        f[:, :busy] = generator.random((30, busy)) * (generator.random((30, busy)) < 0.4)
        f[5, busy + number % (20 - busy)] = 0.5
        made.append(f)
    return EpisodeStatistics.of(made)


def test_features_that_come_and_go_in_every_episode_are_the_general_ones() -> None:
    share = general_share(statistics(0, busy=5), LIBERO, draws=50)
    assert share.value == pytest.approx(5 / 20)
    assert share.low <= share.value <= share.high


def test_the_interval_mostly_holds_the_truth_though_features_lie_at_the_border() -> None:
    """A feature whose class hangs on the episodes drawn: the truth is of very many episodes."""

    def some(seed: int, episodes: int) -> EpisodeStatistics:
        generator = np.random.default_rng(seed)
        # Onsets per feature around the classifier's border, so that the class is uncertain.
        rate = np.linspace(0.5, 3.5, 40)
        onsets = generator.poisson(rate, (episodes, 40)).astype(np.int32)
        largest = np.where(onsets > 0, 0.5, 0.05).astype(np.float32)
        return EpisodeStatistics(
            largest, onsets, (onsets > 0).astype(np.float32) * 3, np.full(episodes, 50)
        )

    truth = general_share(some(0, 20_000), LIBERO, draws=1).value
    held = [
        share.low - 1e-9 <= truth <= share.high + 1e-9
        for share in (general_share(some(seed, 40), LIBERO, draws=200) for seed in range(1, 61))
    ]
    assert np.mean(held) >= 0.7


def test_more_episodes_make_a_narrower_interval() -> None:
    widths = []
    for episodes in (8, 200):
        generator = np.random.default_rng(1)
        onsets = generator.poisson(2.0, (episodes, 60)).astype(np.int32)
        one = EpisodeStatistics(
            np.ones((episodes, 60), np.float32),
            onsets,
            np.ones((episodes, 60), np.float32),
            np.full(episodes, 50),
        )
        share = general_share(one, LIBERO, draws=100)
        widths.append(share.high - share.low)
    assert widths[1] < widths[0]


def test_two_policies_that_differ_are_told_apart_and_one_is_not_told_from_itself() -> None:
    many, few = (general_share(statistics(0, busy=n), LIBERO, draws=50) for n in (15, 2))
    value, low, _high = share_difference(many, few)
    assert value > 0.5
    assert low > 0
    again = general_share(statistics(7, busy=15), LIBERO, draws=50, seed=1)
    value, low, high = share_difference(many, again)
    assert low <= 0 <= high


def test_a_share_of_nothing_is_refused() -> None:
    dead = EpisodeStatistics.of([np.zeros((3, 4))])
    with pytest.raises(ConfigurationError, match="No feature fires"):
        general_share(dead, LIBERO)
    with pytest.raises(ConfigurationError, match="draws"):
        general_share(statistics(0, 5), LIBERO, draws=0)


def test_the_share_of_failed_and_of_successful_episodes_is_of_these_alone() -> None:
    generator = np.random.default_rng(0)
    made = []
    for number in range(20):
        tries = 1 if number < 15 else 6  # feature 0 begins anew with every try
        f = np.zeros((60, 4))
        f[: 10 * tries : 10, 0] = 0.8
        f[3:9, 1 + number % 3] = 0.3 + 0.1 * generator.random()
        made.append(f)
    succeeded = [True] * 15 + [False] * 4 + [None]
    found = shares_by_outcome(EpisodeStatistics.of(made), succeeded, LIBERO)
    assert found == {"succeeded": (0.0, 15), "failed": (pytest.approx(1 / 4), 4)}
    of_failed = EpisodeStatistics.of(made[15:19])
    assert found["failed"][0] == general_share(of_failed, LIBERO, draws=1).value
    assert shares_by_outcome(of_failed, [None] * 4, LIBERO) == {}
