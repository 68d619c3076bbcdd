"""What an alarm is worth, against numbers known from elsewhere."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from monitored import RATE, episode
from sklearn.metrics import roc_auc_score

from vla_sae_ros.monitors.band import Band
from vla_sae_ros.monitors.monitor import Calibrated
from vla_sae_ros.monitors.scores import FvuScore
from vla_sae_ros.study.monitoring.episodes import MonitoredEpisode
from vla_sae_ros.study.monitoring.measures import Share, worth

ONE = {"fvu": Calibrated(FvuScore(), 0.0, Band(np.zeros(1), np.zeros(1), np.ones(1), 1.0))}


def test_alarms_are_counted_per_episode_and_timed_from_the_first_to_the_end() -> None:
    episodes = [
        episode(0, [0.0, 2.0, 0.0, 2.0]),
        episode(1, [0.0, 1.0]),
        episode(2, [0.0, 0.0, 2.0, 2.0, 0.0], success=False),
        episode(3, [0.0], success=False),
        replace(episode(4, [9.0]), success=None),
    ]
    (found,) = worth(ONE, episodes, RATE)
    assert (found.false_alarms, found.caught) == (Share(1, 2), Share(1, 2))
    # First alarm at step 4 of 10, at 20 Hz.
    assert found.lead.tolist() == [0.3]


def test_a_score_that_is_not_known_in_every_episode_is_not_measured() -> None:
    assert worth(ONE, [episode(0, [0.0]), episode(1, [float("nan")])], RATE) == []


def test_the_interval_is_wilsons() -> None:
    # Newcombe (1998), 15 of 148, and 0 of 20.
    assert Share(15, 148).interval == pytest.approx((0.0624, 0.1605), abs=1e-4)
    assert Share(0, 20).interval == pytest.approx((0.0, 0.1611), abs=1e-4)
    assert all(map(math.isnan, (Share(0, 0).share, *Share(0, 0).interval)))


def test_auroc_over_time_is_sklearns_of_the_largest_distance_of_those_that_still_run() -> None:
    draw = np.random.default_rng(0)
    episodes = [
        episode(n, draw.normal(size=draw.integers(3, 9)) + (n >= 12), success=n < 12)
        for n in range(24)
    ]
    (found,) = worth(ONE, episodes, RATE)
    for place, time in enumerate(found.auroc.times):
        running = [one for one in episodes if one.samples[-1].step >= time * RATE - 1e-9]
        values = [max(s.fvu for s in one.samples[: place + 1]) for one in running]
        failed = [not one.success for one in running]
        if min(failed.count(True), failed.count(False)) >= 2:
            assert found.auroc.every[place] == pytest.approx(roc_auc_score(failed, values))
        else:
            assert math.isnan(found.auroc.every[place])
    np.testing.assert_array_equal(found.auroc.every, found.auroc.within)  # one task


def test_telling_hard_tasks_from_easy_ones_is_worth_nothing_within_a_task() -> None:
    def of(task: str, number: int, success: bool) -> MonitoredEpisode:
        noise = 0.01 * number % 0.03
        return replace(episode(number, [float(task == "hard") + noise], success), task=task)

    episodes = [of("easy", n, n > 1) for n in range(20)] + [of("hard", n, n < 2) for n in range(20)]
    (found,) = worth(ONE, episodes, RATE)
    assert found.auroc.every[0] > 0.85
    assert abs(found.auroc.within[0] - 0.5) < 0.2
    assert found.auroc.pairs_within.tolist() == [2 * 18 + 18 * 2]
