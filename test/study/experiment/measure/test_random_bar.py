"""The bar of random decoder rows."""

from __future__ import annotations

import numpy as np
import pytest

from vla_sae_ros.study.experiment.measure.random_bar import random_bar


def test_with_19_rows_the_bar_is_the_largest_and_keeps_its_promise() -> None:
    sizes = np.arange(1.0, 20.0)
    bar = random_bar(sizes * (-1) ** np.arange(19))
    assert (bar.height, bar.rows) == (19.0, 19)
    assert bar.chance == pytest.approx(0.05)
    assert bar.passed(-19.5) and not bar.passed(19.0)


def test_with_fewer_rows_the_chance_is_said() -> None:
    bar = random_bar(np.array([0.1, -0.4, 0.2, np.nan]))
    assert (bar.height, bar.rows, bar.chance) == (0.4, 3, 0.25)


def test_without_rows_nothing_passes() -> None:
    bar = random_bar(np.array([np.nan]))
    assert bar.rows == 0 and not bar.passed(1e9)
    assert not random_bar(np.ones(30)).passed(np.nan)


@pytest.mark.parametrize("rows", [3, 10, 19, 40, 99])
def test_a_further_random_row_passes_as_seldom_as_said(rows: int) -> None:
    generator = np.random.default_rng(rows)
    draws = generator.standard_cauchy((4000, rows + 1))
    bars = [random_bar(row[:-1]) for row in draws]
    passed = np.mean([bar.passed(row[-1]) for bar, row in zip(bars, draws, strict=True)])
    said = bars[0].chance
    assert abs(passed - said) < 3 * np.sqrt(said * (1 - said) / 4000)
    assert said <= 0.05 + 1e-9 or rows < 19
