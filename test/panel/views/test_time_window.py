"""The stretch of time of a plot."""

from __future__ import annotations

import pytest

from vla_sae_ros.panel.views.time_window import LONGEST, SHORTEST, TimeWindow, nice_step, tick_step


def test_a_window_that_follows_ends_at_the_newest_observation() -> None:
    window = TimeWindow(10.0)
    assert window.edges(100.0) == (90.0, 100.0)
    assert window.edges(101.0) == (91.0, 101.0)


def test_a_held_window_stands_still_until_it_follows_again() -> None:
    window = TimeWindow(10.0)
    window.hold(100.0)
    assert window.edges(105.0) == (90.0, 100.0)
    window.follow()
    assert window.edges(105.0) == (95.0, 105.0)


def test_moving_holds_and_never_passes_the_newest() -> None:
    window = TimeWindow(10.0)
    window.move(-4.0, 100.0)
    assert window.held and window.edges(120.0) == (86.0, 96.0)
    window.move(100.0, 120.0)
    assert window.edges(120.0)[1] == 120.0


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_zooming_a_held_window_keeps_the_time_under_the_pointer(share: float) -> None:
    window = TimeWindow(10.0)
    window.move(-20.0, 100.0)
    left, right = window.edges(100.0)
    under = left + share * (right - left)
    window.zoom(0.5, share, 100.0)
    left, right = window.edges(100.0)
    assert left + share * (right - left) == pytest.approx(under)
    assert right - left == pytest.approx(5.0)


def test_zoom_has_limits_and_does_not_stop_following() -> None:
    window = TimeWindow(10.0)
    for factor, limit in ((0.1, SHORTEST), (10.0, LONGEST)):
        for _ in range(5):
            window.zoom(factor, 0.5, 100.0)
        assert window.span == limit and not window.held


@pytest.mark.parametrize(("span", "most", "step"), [(20, 10, 2), (1, 10, 0.1), (60, 5, 20)])
def test_ticks_are_round_and_few(span: float, most: int, step: float) -> None:
    assert tick_step(span, most) == pytest.approx(step)


@pytest.mark.parametrize("span", [3e-7, 0.04, 0.9999, 1.0, 4.0, 7.3, 1000.0, 6e38])
def test_a_nice_step_is_one_two_or_five_times_a_power_of_ten_and_the_smallest_that_fits(
    span: float,
) -> None:
    step = nice_step(span, 4)
    digits = float(f"{step:e}".split("e")[0])
    assert digits in (1.0, 2.0, 5.0)
    smaller = step / (2.5 if digits == 5.0 else 2.0)
    assert span / step <= 4 < span / smaller * (1 + 1e-9)
