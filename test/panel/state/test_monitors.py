"""What the panel keeps of a monitor's words."""

from __future__ import annotations

import math

from vla_sae_ros.panel.state.monitors import MOST, Monitors


def test_scores_and_thresholds_are_kept_in_their_order(make_monitor) -> None:
    monitors = Monitors()
    for number, score in enumerate((0.1, math.nan, 0.3), start=1):
        assert monitors.take(make_monitor(score, inference=number, threshold=0.5))
    (one,) = monitors.series.values()
    time, scores, thresholds = one.columns()
    assert time.tolist() == [0.1, 0.2, 0.3] and thresholds.tolist() == [0.5] * 3
    assert scores[0] == 0.1 and math.isnan(scores[1]) and scores[2] == 0.3


def test_a_late_message_is_left_out_unless_the_policy_was_restarted(make_monitor) -> None:
    monitors = Monitors()
    assert monitors.take(make_monitor(0.1, inference=5))
    assert not monitors.take(make_monitor(0.9, inference=4))
    assert monitors.newest is not None and monitors.newest.score == 0.1
    assert monitors.take(make_monitor(0.2, inference=1, time=0.6, policy_start_ns=7))
    (one,) = monitors.series.values()
    assert [view.score for view in one.views] == [0.1, 0.2]


def test_another_clock_begins_anew(make_monitor) -> None:
    monitors = Monitors()
    monitors.take(make_monitor(0.9, inference=1, time=50.0, alarm=True, alarm_step=2))
    monitors.take(make_monitor(0.1, inference=2, time=1.0, episode_id="e2"))
    (one,) = monitors.series.values()
    assert [view.time for view in one.views] == [1.0] and not one.alarms


def test_an_alarm_has_the_time_at_which_it_began_once_per_episode(make_monitor) -> None:
    monitors = Monitors()
    monitors.take(make_monitor(0.1, inference=1))
    for number in (2, 3):
        monitors.take(make_monitor(0.9, inference=number, alarm=True, alarm_step=4))
    monitors.take(make_monitor(0.1, inference=4, episode_id="e2"))
    assert monitors.alarm is None
    monitors.take(make_monitor(0.9, inference=5, episode_id="e2", alarm=True, alarm_step=10))
    (one,) = monitors.series.values()
    assert list(one.alarms) == [0.2, 0.5]
    assert monitors.alarm is one.newest


def test_an_alarm_that_began_before_the_panel_opened_stands_but_has_no_time(make_monitor) -> None:
    monitors = Monitors()
    monitors.take(make_monitor(0.9, inference=9, alarm=True, alarm_step=4))
    (one,) = monitors.series.values()
    assert monitors.alarm is not None and not one.alarms


def test_the_alarm_of_one_monitor_is_not_hidden_by_another(make_monitor) -> None:
    monitors = Monitors()
    monitors.take(make_monitor(0.9, inference=1, alarm=True, alarm_step=2))
    monitors.take(make_monitor(0.1, inference=1, score_name="probe"))
    assert monitors.newest is not None and monitors.newest.score_name == "probe"
    assert monitors.alarm is not None and monitors.alarm.score_name == "fvu"
    monitors.take(make_monitor(0.1, inference=2, score_name="probe", episode_id="e2"))
    assert monitors.alarm is None


def test_of_many_monitors_those_that_were_heard_last_are_kept(make_monitor) -> None:
    monitors = Monitors()
    for number in range(MOST + 2):
        monitors.take(make_monitor(0.1, score_name=f"score {number}"))
        monitors.take(make_monitor(0.1, score_name="score 0"))
    names = [name for _, name in monitors.series]
    assert names == [*(f"score {n}" for n in range(MOST + 2 - (MOST - 1), MOST + 2)), "score 0"]
