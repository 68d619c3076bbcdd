"""Intervals of means of paired differences."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.study.experiment.measure.bootstrap import mean_interval


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    # 30 pairs, 600 quantities at once; a skewed population with mean 1.
    for draw in ("standard_normal", "standard_exponential"):
        generator = np.random.default_rng(2)
        sample = getattr(generator, draw)((30, 600))
        truth = 0.0 if draw == "standard_normal" else 1.0
        found = mean_interval(sample, draws=2000, seed=1)
        share = ((found.low <= truth) & (truth <= found.high)).mean()
        assert 0.90 <= share <= 0.97, draw


def test_the_interval_is_scipys() -> None:
    sample = np.random.default_rng(4).standard_exponential(40)
    ours = mean_interval(sample[:, None], draws=20_000, seed=0)
    theirs = stats.bootstrap(
        (sample,), np.mean, n_resamples=20_000, method="BCa", rng=np.random.default_rng(9)
    ).confidence_interval
    assert ours.mean[0] == pytest.approx(sample.mean())
    assert (ours.low[0], ours.high[0]) == pytest.approx((theirs.low, theirs.high), abs=0.015)


def test_the_same_seed_gives_the_same_interval() -> None:
    sample = np.random.default_rng(4).standard_normal((12, 3))
    one, other = mean_interval(sample, seed=7), mean_interval(sample, seed=7)
    assert (one.low == other.low).all() and (one.high == other.high).all()
    assert (one.low != mean_interval(sample, seed=8).low).any()


def test_quantities_that_pairs_lack_are_left_out() -> None:
    sample = np.random.default_rng(4).standard_normal((30, 2))
    holed = np.vstack([sample, [[np.nan, 5.0]]])
    found = mean_interval(np.column_stack([holed, np.full(31, np.nan)]), draws=4000)
    assert found.pairs.tolist() == [30, 31, 0]
    assert found.mean[0] == pytest.approx(sample[:, 0].mean())
    alone = mean_interval(sample[:, :1], draws=4000)
    assert (found.low[0], found.high[0]) == pytest.approx((alone.low[0], alone.high[0]), abs=0.05)
    assert np.isnan([found.mean[2], found.low[2], found.high[2]]).all()


def test_equal_differences_have_an_interval_without_width() -> None:
    found = mean_interval(np.full((10, 1), 0.3))
    assert found.low[0] == pytest.approx(0.3) and found.high[0] == pytest.approx(0.3)


def test_too_few_draws_and_impossible_levels_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="100 or more"):
        mean_interval(np.zeros((3, 1)), draws=10)
    with pytest.raises(ConfigurationError, match="between 0 and 1"):
        mean_interval(np.zeros((3, 1)), level=95)
