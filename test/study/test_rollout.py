"""Planning and counting rollouts; the closed loop itself is measured, not tested, here."""

from __future__ import annotations

import numpy as np
import pytest

from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.sim.environment import Layout
from vla_sae_ros.sim.suites import find_task
from vla_sae_ros.study.intervals import wilson_interval
from vla_sae_ros.study.rollout import (
    EVALUATION_SEED,
    Outcome,
    objects_in_basket,
    parse_range,
    parse_tasks,
    plan_trials,
    table,
)


def test_every_trial_has_a_seed_that_training_never_uses() -> None:
    trials = plan_trials([find_task("libero_object", 0)], range(40, 50), 20, Layout(0.04))
    assert min(trial.seed for trial in trials) >= EVALUATION_SEED
    assert len({trial.seed for trial in trials}) == 20
    assert sorted({trial.init_state for trial in trials}) == list(range(40, 50))


def test_tasks_are_parsed_or_refused() -> None:
    assert len(parse_tasks("libero_object", "all")) == 10
    official, butter = parse_tasks("libero_object", "0,0:butter_1")
    assert official.goal == () and "butter" in butter.instruction
    for text in ("x", "0:wine_1", "10", ""):
        with pytest.raises(ConfigurationError):
            parse_tasks("libero_object", text)


def test_ranges_are_parsed_or_refused() -> None:
    assert parse_range("40-42,7") == [40, 41, 42, 7]
    with pytest.raises(ConfigurationError):
        parse_range("40-x")


def test_the_table_counts_per_task_and_over_all() -> None:
    def outcome(index: int, success: bool, steps: int) -> Outcome:
        return Outcome("libero_object", index, f"task {index}", 40, 1, success, steps, ())

    lines = table([outcome(0, True, 80), outcome(0, False, 280), outcome(1, True, 90)]).splitlines()
    assert "1 /  2" in lines[1] and "50%" in lines[1] and "80" in lines[1]
    assert "2 /  3" in lines[3] and lines[3].startswith("all")


def test_what_lies_in_the_basket_is_named() -> None:
    positions = {"basket_1": np.array([0, 0.26, 0]), "milk_1": np.array([0.02, 0.3, 0.05]),
                 "soup_1": np.array([0.2, 0.26, 0.0])}
    assert objects_in_basket(positions) == ("milk_1",)
    assert objects_in_basket({"cup_1": np.zeros(3)}) == ()


@pytest.mark.parametrize(("successes", "trials"), [(0, 10), (10, 10), (7, 10), (19, 20), (1, 3)])
def test_the_wilson_interval_holds_the_rates_the_data_do_not_reject(successes, trials) -> None:
    low, high = wilson_interval(successes, trials)
    share = successes / trials
    # Independent definition: the interval's ends p satisfy |share - p| = z sqrt(p (1 - p) / n).
    for end in (low, high):
        if 1e-9 < end < 1 - 1e-9:
            assert abs(share - end) == pytest.approx(1.96 * (end * (1 - end) / trials) ** 0.5)
    assert low <= share <= high


def test_an_impossible_count_makes_no_interval() -> None:
    with pytest.raises(ValueError, match="no proportion"):
        wilson_interval(3, 2)
