"""Curves from numpy to Qt."""

from __future__ import annotations

import numpy as np

from vla_sae_ros.panel.widgets.polyline import polyline, runs, usual_gap


def test_a_polyline_has_the_points_of_the_arrays() -> None:
    x, y = np.array([0.0, 1.5, -3.0]), np.array([2.0, 1e6, 0.25])
    points = polyline(x, y)
    assert [(point.x(), point.y()) for point in points] == list(zip(x, y, strict=True))
    assert polyline(np.zeros(0), np.zeros(0)).isEmpty()


def test_lines_break_at_gaps_and_where_time_runs_backwards() -> None:
    time = np.array([0.0, 0.1, 0.2, 9.0, 9.1, 3.0, 3.0, 3.1])
    parts = [time[part].tolist() for part in runs(time, usual_gap(time))]
    assert parts == [[0.0, 0.1, 0.2], [9.0, 9.1], [3.0, 3.0, 3.1]]


def test_a_slow_policy_is_no_gap() -> None:
    time = np.arange(0.0, 30.0, 3.0)
    assert len(runs(time, usual_gap(time))) == 1
    assert runs(np.zeros(0), usual_gap(np.zeros(0))) == []
