"""Tests of paired results, against published numbers and what they promise on null data."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy import stats

from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.study.experiment.measure.paired_tests import holm, mcnemar, smallest_p, wilcoxon


def test_mcnemar_gives_published_numbers() -> None:
    # The second example of Wikipedia's article (exact p 0.053), and Agresti's approval of a
    # minister, 86 against 150 of 944 panellists (R's binom.test: 3.7e-05).
    assert mcnemar(6, 16) == pytest.approx(0.053, abs=1e-3)
    assert mcnemar(86, 150) == pytest.approx(3.716e-05, rel=1e-3)
    assert mcnemar(5, 5) == 1.0
    assert mcnemar(0, 0) == 1.0
    assert mcnemar([0, 1, 8], [6, 1, 0]) == pytest.approx([2 / 2**6, 1.0, 2 / 2**8])


def test_mcnemar_refuses_negative_counts() -> None:
    with pytest.raises(ConfigurationError, match="0 or more"):
        mcnemar(-1, 3)


def test_wilcoxon_gives_the_number_of_darwins_maize() -> None:
    # Heights of 15 pairs of cross- and self-fertilised plants [1/8 inch] (Darwin, 1876; in
    # Hollander and Wolfe): sum of negative ranks 24, two-sided exact p 0.041.
    darwin = np.array([49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48], float)
    assert wilcoxon(darwin[:, None])[0] == pytest.approx(0.0413, abs=5e-4)


def test_wilcoxon_is_exact_with_zeros_and_ties() -> None:
    # Against all 2^n choices of signs.
    differences = np.array([0, 0, 0, 1, 1, -1, 2, 2, -2, 3, 3, 4, 4, 4, 5], float)
    ranks = stats.rankdata(np.abs(differences)) * (differences != 0)
    sums = np.array(list(product((-1, 1), repeat=len(ranks)))) @ ranks
    expected = (np.abs(sums) >= np.sign(differences) @ ranks).mean()
    assert wilcoxon(differences[:, None])[0] == pytest.approx(expected)
    few = np.array([0.0] * 20 + [1.0, 2.0, 3.0, 4.0, 5.0])
    assert wilcoxon(few[:, None])[0] == pytest.approx(2 / 2**5), "only five take a side"


def test_wilcoxon_agrees_with_scipy_where_scipy_is_exact() -> None:
    some = np.random.default_rng(0).normal(0.3, 1.0, (45, 5))
    expected = [stats.wilcoxon(column, method="exact").pvalue for column in some.T]
    assert wilcoxon(some) == pytest.approx(expected)


def test_wilcoxon_takes_each_quantity_with_the_pairs_it_has() -> None:
    columns = np.array([[1.0, 0.0, np.nan], [2.0, 0.0, np.nan], [3.0, np.nan, np.nan]])
    p = wilcoxon(columns)
    assert p[0] == pytest.approx(smallest_p(3)) == 0.25
    assert p[1] == 1.0
    assert np.isnan(p[2])


def test_wilcoxon_is_uniform_on_null_data() -> None:
    p = wilcoxon(np.random.default_rng(3).standard_normal((30, 500)))
    assert stats.kstest(p, "uniform").pvalue > 0.05


def test_mcnemar_never_rejects_more_often_than_its_level_on_null_data() -> None:
    generator = np.random.default_rng(5)
    differ = generator.binomial(30, 0.4, size=4000)
    gained = generator.binomial(differ, 0.5)
    p = mcnemar(gained, differ - gained)
    assert 0.01 < (p <= 0.05).mean() <= 0.05


def test_holm_gives_its_worked_example() -> None:
    p = np.array([0.01, 0.04, 0.03, 0.005])
    assert holm(p) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_holm_counts_only_tests_that_were_made() -> None:
    adjusted = holm(np.array([[0.01, np.nan], [0.04, 0.9]]))
    assert adjusted[0, 0] == pytest.approx(0.03)
    assert np.isnan(adjusted[0, 1])
    assert adjusted[1] == pytest.approx([0.08, 0.9])


def test_holm_keeps_the_chance_of_any_false_positive() -> None:
    # 24 tests of which a third are true effects, dependent through a common part.
    generator = np.random.default_rng(11)
    false = 0
    for _ in range(400):
        shared = generator.standard_normal((30, 1))
        data = 0.7 * generator.standard_normal((30, 24)) + 0.7 * shared
        data[:, :8] += 1.0
        false += bool((holm(stats.ttest_1samp(data, 0).pvalue)[8:] <= 0.05).any())
    assert false / 400 <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 400)
