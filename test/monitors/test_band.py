"""The threshold of split conformal prediction keeps the rate that was asked for."""

from __future__ import annotations

import numpy as np
import pytest

from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.monitors.band import Band, conformal_quantile, conformal_rank


@pytest.mark.parametrize(("episodes", "rate"), [(9, 0.1), (40, 0.1), (70, 0.05), (25, 0.3)])
def test_a_further_exchangeable_episode_exceeds_it_as_often_as_the_rank_says(
    episodes: int, rate: float
) -> None:
    draw, exceeded, sets = np.random.default_rng(episodes), 0, 20_000
    for _ in range(sets):
        *calibration, new = draw.standard_t(2, size=episodes + 1)  # heavy tails: any law will do
        exceeded += new > conformal_quantile(calibration, rate)
    exact = (episodes + 1 - conformal_rank(episodes, rate)) / (episodes + 1)
    assert exact <= rate + 1e-12
    assert abs(exceeded / sets - exact) < 4 * np.sqrt(exact * (1 - exact) / sets)


def test_equal_scores_raise_no_alarm() -> None:
    assert conformal_quantile([1.0] * 20, 0.1) == 1.0


@pytest.mark.parametrize(("rate", "least"), [(0.1, 9), (0.05, 19), (0.01, 99), (0.5, 1)])
def test_too_few_episodes_are_refused_with_how_many_are_needed(rate: float, least: int) -> None:
    assert conformal_rank(least, rate) == least
    with pytest.raises(ConfigurationError, match=f"at least {least}\\."):
        conformal_rank(least - 1, rate)


@pytest.mark.parametrize("rate", [0.0, 1.0, -0.1, float("nan")])
def test_a_rate_is_between_0_and_1(rate: float) -> None:
    with pytest.raises(ConfigurationError, match="above 0, below 1"):
        conformal_rank(100, rate)


def test_the_threshold_follows_centre_and_scale_and_stays_at_the_ends() -> None:
    band = Band(np.array([0.0, 10.0]), np.array([1.0, 3.0]), np.array([1.0, 2.0]), 2.0)
    assert [band.threshold(step) for step in (0, 5, 10, 500)] == [3.0, 5.0, 7.0, 7.0]
    assert band.distance(5, 5.0) == 2.0


@pytest.mark.parametrize(
    ("steps", "scale", "quantile", "words"),
    [
        ([0.0, 0.0], [1.0, 1.0], 1.0, "ascending"),
        ([], [], 1.0, "ascending"),
        ([0.0, 1.0], [1.0, 0.0], 1.0, "above 0"),
        ([0.0, 1.0], [1.0], 1.0, "shape"),
        ([0.0, 1.0], [1.0, float("nan")], 1.0, "finite"),
        ([0.0, 1.0], [1.0, 1.0], float("inf"), "quantile"),
    ],
)
def test_what_is_no_band_is_refused(
    steps: list[float], scale: list[float], quantile: float, words: str
) -> None:
    centre = np.zeros(len(steps))
    with pytest.raises(ConfigurationError, match=words):
        Band(np.array(steps), centre, np.array(scale), quantile)
