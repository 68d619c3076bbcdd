"""Intervals of effects: what a difference of success can be told from."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.stats import norm

from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.study.experiment.measure.bootstrap import mean_interval
from vla_sae_ros.study.experiment.measure.effects import EFFECTS, SUCCESS
from vla_sae_ros.study.experiment.measure.intervals import effect_intervals, success_interval
from vla_sae_ros.study.rollouts.outcomes import wilson_interval


def test_pairs_that_end_alike_do_not_tell_the_difference_exactly() -> None:
    low, high = success_interval(0, 0, 10)
    assert high == -low == pytest.approx(1 - wilson_interval(10, 10)[0])
    other = next(effect for effect in EFFECTS if effect is not SUCCESS)
    values = np.column_stack([np.zeros(10), np.arange(10.0)])
    found, plain = effect_intervals(values, [SUCCESS, other], 3), mean_interval(values, seed=3)
    assert (found.low[0], found.high[0]) == (low, high)
    assert (found.low[1], found.high[1]) == (plain.low[1], plain.high[1])


@pytest.mark.parametrize(
    ("gained", "lost", "pairs"), [(3, 1, 10), (0, 4, 10), (1, 0, 44), (12, 30, 100), (2, 2, 5)]
)
def test_an_end_is_where_the_score_test_would_just_reject(
    gained: int, lost: int, pairs: int
) -> None:
    """With the nuisance rate found by maximising the likelihood, not by Tango's formula."""
    for end, sign in zip(success_interval(gained, lost, pairs), (1, -1), strict=True):
        least = max(0.0, -end)

        def unlikely(rate: float, end: float = end) -> float:
            chances = np.array([rate + end, rate, 1 - 2 * rate - end])
            counts = np.array([gained, lost, pairs - gained - lost])
            return -float((counts * np.log(np.maximum(chances, 1e-300))).sum())

        bounds = (least, (1 - end) / 2)
        rate = minimize_scalar(unlikely, bounds=bounds, method="bounded", options={"xatol": 1e-10})
        error = np.sqrt(pairs * (2 * rate.x + end * (1 - end)))
        score = (gained - lost - pairs * end) / error
        assert sign * score == pytest.approx(norm.ppf(0.975), rel=1e-3)


def test_gains_and_losses_change_roles() -> None:
    low, high = success_interval(7, 2, 20)
    assert success_interval(2, 7, 20) == (pytest.approx(-high), pytest.approx(-low))
    assert success_interval(6, 0, 6)[1] == success_interval(0, 6, 6)[0] * -1 == 1.0
    assert 0 < success_interval(6, 0, 6)[0] < 1


@pytest.mark.parametrize("counts", [(-1, 0, 5), (3, 3, 5), (0, 0, 0)])
def test_counts_that_no_pairs_have_are_refused(counts: tuple[int, int, int]) -> None:
    with pytest.raises(ConfigurationError, match="make no difference of success"):
        success_interval(*counts)
