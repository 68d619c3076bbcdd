"""Whether an effect grows with the dose."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.study.experiment.measure.trend import trend

DOSES = np.array([-0.5, -0.25, 0.0, 0.25, 0.5])


def test_a_rising_effect_has_rho_one_and_a_small_p() -> None:
    found = trend(np.tile(DOSES, (10, 1)) ** 3, DOSES)
    assert found.rho == pytest.approx(1.0)
    assert found.p == pytest.approx(1 / 2001)
    assert trend(-np.tile(DOSES, (10, 1)), DOSES).rho == pytest.approx(-1.0)


def test_a_peak_in_the_middle_is_no_trend() -> None:
    noise = 0.01 * np.random.default_rng(0).standard_normal((20, 5))
    assert abs(trend(np.tile(-(DOSES**2), (20, 1)) + noise, DOSES).rho) < 0.4


def test_it_agrees_with_pages_test_in_scipy() -> None:
    effects = np.random.default_rng(1).standard_normal((12, 5)) + 0.5 * np.arange(5)
    theirs = stats.page_trend_test(effects, method="asymptotic")
    ours = trend(effects, np.arange(5.0), permutations=20_000)
    # L rescaled: mean Spearman correlation of 12 rankings of 5.
    largest, mean = 12 * 55, 12 * 5 * 36 / 4
    assert ours.rho == pytest.approx((theirs.statistic - mean) / (largest - mean))
    weak = np.random.default_rng(1).standard_normal((12, 5)) + 0.1 * np.arange(5)
    one_sided = stats.page_trend_test(weak, method="exact").pvalue
    assert 0.02 < one_sided < 0.3, "neither certain nor hopeless"
    assert trend(weak, np.arange(5.0), 20_000).p == pytest.approx(2 * one_sided, rel=0.1)


def test_its_p_is_uniform_on_null_data() -> None:
    generator = np.random.default_rng(100)
    p = np.array(
        [
            trend(generator.standard_normal((20, 7)), np.arange(7.0), 199, seed).p
            for seed in range(300)
        ]
    )
    # p is a multiple of 1/200: spread each over its cell.
    p -= np.random.default_rng(0).uniform(0, 1 / 200, len(p))
    assert stats.kstest(p, "uniform").pvalue > 0.05


def test_what_cannot_be_tested_is_nan_and_equal_doses_are_refused() -> None:
    assert np.isnan(trend(np.zeros((5, 2)), np.array([0.0, 1.0])).p)
    assert np.isnan(trend(np.full((5, 3), np.nan), np.arange(3.0)).p)
    assert trend(np.zeros((5, 3)), np.arange(3.0)).p == 1.0
    with pytest.raises(ConfigurationError, match="all different"):
        trend(np.zeros((5, 3)), np.array([0.0, 1.0, 1.0]))
