"""A watch over one episode: averages, thresholds, and an alarm that stays."""

from __future__ import annotations

import math

import numpy as np

from vla_sae_ros.monitors.band import Band
from vla_sae_ros.monitors.monitor import Calibrated
from vla_sae_ros.monitors.sample import Sample
from vla_sae_ros.monitors.scores import FvuScore
from vla_sae_ros.monitors.watch import Watch

ONE = Band(np.zeros(1), np.zeros(1), np.ones(1), 1.0)


def test_an_alarm_stays_until_the_next_episode() -> None:
    watch = Watch(Calibrated(FvuScore(), 0.0, ONE), 20.0)
    said = [watch.feed(Sample(2 * n, value)) for n, value in enumerate((0.5, 1.0, 1.5, 0.2))]
    assert [one.above for one in said] == [False, False, True, False]
    assert [one.alarm for one in said] == [False, False, True, True]
    assert [one.alarm_step for one in said] == [-1, -1, 4, 4]
    watch.begin()
    assert not watch.feed(Sample(0, 0.5)).alarm


def test_scores_are_averaged_over_the_window_of_observation_time() -> None:
    watch = Watch(Calibrated(FvuScore(), 0.25, ONE), 20.0)  # five control steps
    values = {0: 1.0, 2: 2.0, 4: 3.0, 6: 4.0, 20: 9.0}
    said = [watch.feed(Sample(step, value)).score for step, value in values.items()]
    assert said == [1.0, 1.5, 2.0, 3.0, 9.0]


def test_what_is_not_known_is_no_alarm_and_is_not_averaged() -> None:
    watch = Watch(Calibrated(FvuScore(), 0.25, ONE), 20.0)
    first = watch.feed(Sample(0))
    assert math.isnan(first.score) and not first.above
    assert watch.feed(Sample(2, 0.5)).score == 0.5
