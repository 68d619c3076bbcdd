"""Pinned features over observation time."""

from __future__ import annotations

import math

import numpy as np
import pytest
from PyQt5.QtCore import QPoint, QPointF, Qt
from PyQt5.QtGui import QWheelEvent
from PyQt5.QtTest import QTest
from PyQt5.QtWidgets import QApplication

from vla_sae_ros.panel.state.values import TOLD
from vla_sae_ros.panel.views.trace import MonitorTrace
from vla_sae_ros.panel.views.traces import (
    MOST,
    TracesView,
    alarm_marks,
    marks,
    monitor_traces,
    pinned_traces,
)


@pytest.fixture
def view(qtbot, context) -> TracesView:
    result = TracesView(context)
    qtbot.addWidget(result)
    result.resize(700, 300)
    with qtbot.waitExposed(result):
        result.show()
    return result


def test_a_trace_has_natural_and_applied_in_observed_maxima_and_its_edits(
    store, client, infer, make_steering
) -> None:
    store.pinned = [("expert.0", 1)]
    infer({1: (1.0, 1.0)}, 10.0)
    client.incoming.steering.put(make_steering(("expert.0", 1, 3.0), time=10.5))
    infer({1: (1.0, 6.0)}, 11.0)
    client.incoming.steering.put(make_steering(time=11.5, revision=2))
    infer({}, 12.0)
    (trace,) = pinned_traces(store)
    assert trace.label == "hand above basket"
    assert trace.time.tolist() == [10.0, 11.0, 12.0]
    assert trace.natural.tolist() == [0.5, 0.5, 0.0]
    assert trace.applied.tolist() == [0.5, 3.0, 0.0]
    assert trace.windows == ((10.5, 11.5),)
    assert trace.bounds() == (0.0, 3.0)


def test_an_edit_that_still_acts_is_shaded_to_the_end(store, client, infer, make_steering) -> None:
    store.pinned = [("expert.0", 1)]
    client.incoming.steering.put(make_steering(("expert.0", 1, 3.0), time=9.0))
    infer({1: (1.0, 6.0)}, 10.0)
    ((begin, end),) = pinned_traces(store)[0].windows
    assert begin == 9.0 and math.isinf(end)


def test_at_most_a_dozen_pins_are_drawn_and_the_rest_is_counted(
    view, store, client, make_catalogue, infer
) -> None:
    client.incoming.catalogues.put("", make_catalogue(size=20))
    store.take(client.incoming)
    store.pinned = [("expert.0", feature) for feature in range(MOST + 3)]
    infer({0: (1.0, 1.0)}, 1.0)
    view.refresh(store, 0.0)
    assert [trace.name for trace in view.lanes.traces] == store.pinned[:MOST]
    assert view.more.text() == "3 more pinned"


def test_a_pin_of_another_policys_feature_is_left_out(store, infer) -> None:
    store.pinned = [("vision.9", 1), ("expert.0", 2)]
    infer({2: (1.0, 1.0)}, 1.0)
    assert [trace.name for trace in pinned_traces(store)] == [("expert.0", 2)]


def test_a_drag_of_many_events_is_marked_once_and_a_refusal_is_alarming(make_event) -> None:
    drag = [make_event(time=1.0 + 0.05 * k) for k in range(9)]
    found = marks([*drag, make_event("refused", 5.0), make_event("removed", 6.0)])
    assert [(mark.time, mark.alarming) for mark in found] == [(1.0, False), (5.0, True)]


def test_another_instruction_is_a_line_with_its_words(make_event) -> None:
    (mark,) = marks([make_event(TOLD, 3.0, reason="take the milk " * 20)])
    assert (mark.time, mark.alarming) == (3.0, False)
    assert mark.text.startswith("told “take the milk take") and mark.text.endswith("…”")
    assert len(mark.text) < 70


def test_pause_holds_the_picture_and_double_click_follows_again(view, store, infer, qtbot) -> None:
    store.pinned = [("expert.0", 1)]
    infer({1: (1.0, 1.0)}, 1.0)
    view.refresh(store, 0.0)
    qtbot.mouseClick(view.pause, Qt.MouseButton.LeftButton)
    infer({1: (2.0, 2.0)}, 2.0)
    view.refresh(store, 0.0)
    assert view.lanes.traces[0].time.tolist() == [1.0]
    qtbot.mouseDClick(view.lanes, Qt.MouseButton.LeftButton)
    assert not view.pause.isChecked()
    infer({1: (2.0, 2.0)}, 3.0)
    view.refresh(store, 0.0)
    assert view.lanes.traces[0].time.tolist() == [1.0, 2.0, 3.0]


def test_following_again_shows_at_once_what_came_while_held(view, store, infer, qtbot) -> None:
    store.pinned = [("expert.0", 1)]
    infer({1: (1.0, 1.0)}, 1.0)
    view.refresh(store, 0.0)
    view.lanes.hold(True)
    infer({1: (2.0, 2.0)}, 2.0)
    view.refresh(store, 0.0)
    view.lanes.hold(False)
    view.refresh(store, 0.0)
    assert view.lanes.traces[0].time.tolist() == [1.0, 2.0]


def test_the_wheel_and_the_keys_zoom(view, store, infer, qtbot) -> None:
    store.pinned = [("expert.0", 1)]
    infer({1: (1.0, 1.0)}, 1.0)
    view.refresh(store, 0.0)
    span = view.lanes.window_of_time.span
    QApplication.sendEvent(
        view.lanes,
        QWheelEvent(
            QPointF(400, 50),
            QPointF(400, 50),
            QPoint(0, 0),
            QPoint(0, 120),
            Qt.MouseButton.NoButton,
            Qt.KeyboardModifier.NoModifier,
            Qt.ScrollPhase.NoScrollPhase,
            False,
        ),
    )
    assert view.lanes.window_of_time.span < span
    QTest.keyClick(view.lanes, Qt.Key.Key_Minus)
    assert view.lanes.window_of_time.span == pytest.approx(span)
    QTest.keyClick(view.lanes, Qt.Key.Key_Left)
    assert view.pause.isChecked()
    QTest.keyClick(view.lanes, Qt.Key.Key_End)
    assert not view.pause.isChecked()


def test_a_click_on_a_lane_selects_its_feature(view, store, infer, qtbot) -> None:
    store.pinned = [("expert.0", 1), ("backbone.1", 2)]
    infer({1: (1.0, 1.0)}, 1.0)
    view.refresh(store, 0.0)
    height = view.lanes.height()
    for y, name in ((0.3, ("expert.0", 1)), (0.7, ("backbone.1", 2))):
        at = QPoint(400, int(y * height))
        qtbot.mouseClick(view.lanes, Qt.MouseButton.LeftButton, pos=at)
        assert store.selected == name


@pytest.mark.parametrize("values", [{}, {1: (0.0, -4.0)}, {1: (1e30, float("nan"))}])
def test_odd_values_can_be_painted(view, store, infer, values) -> None:
    store.pinned = [("expert.0", 1), ("expert.0", 3)]
    for time in (1.0, 1.0, 1.5, 0.2):
        infer(values, time)
    view.refresh(store, 0.0)
    assert not view.grab().isNull()
    assert np.isfinite(view.lanes.traces[0].bounds()).all()


def test_a_monitors_score_stands_above_the_pins_with_its_threshold_and_where_the_alarm_began(
    view, store, client, infer, make_monitor, qtbot
) -> None:
    store.pinned = [("expert.0", 1)]
    infer({1: (1.0, 1.0)}, 0.1)
    view.refresh(store, 0.0)
    assert not monitor_traces(store) and len(view.lanes.traces) == 1
    client.incoming.monitors.put(make_monitor(0.2, inference=1))
    alarm = make_monitor(0.9, inference=2, threshold=0.6, alarm=True, alarm_step=4)
    client.incoming.monitors.put(alarm)
    store.take(client.incoming)
    view.refresh(store, 0.0)
    first, second = view.lanes.traces
    assert isinstance(first, MonitorTrace) and second.title == "expert.0 #1"
    assert first.title == "monitor: fvu at backbone.1" and first.label == "ALARM"
    assert first.time.tolist() == [0.1, 0.2]
    assert first.solid.tolist() == [0.2, 0.9] and first.dashed.tolist() == [0.5, 0.6]
    ((begin, words),) = [(mark.time, mark.text) for mark in alarm_marks(store)]
    assert (begin, words) == (0.2, "ALARM fvu")
    before = store.selected
    at = QPoint(400, int(0.3 * view.lanes.height()))
    qtbot.mouseClick(view.lanes, Qt.MouseButton.LeftButton, pos=at)
    assert store.selected == before, "a monitor's lane is no feature to select"


def test_a_monitors_curve_is_drawn_in_its_place_and_broken_where_it_is_not_known(
    view, store, client, infer, make_monitor
) -> None:
    """A score far below its threshold leaves the upper half to the threshold's dashes."""
    for number in range(1, 60):
        known = number < 20 or number >= 40
        client.incoming.monitors.put(
            make_monitor(0.0 if known else math.nan, inference=number, threshold=1.0)
        )
    infer({}, 5.9)
    view.refresh(store, 0.0)
    (trace,) = view.lanes.traces
    low, high = trace.bounds()
    assert low <= 0.0 and high > 1.0
    image = view.lanes.grab().toImage()
    ratio = image.width() / view.lanes.width()

    def solid_at(seconds: float) -> int:
        """Count bluish pixels, of the score's curve, in the column of this time."""
        area = view.lanes._plot_area()
        left, right = view.lanes.window_of_time.edges(view.lanes._newest)
        x = round((area.left() + (seconds - left) / (right - left) * area.width()) * ratio)
        rows = range(round(area.top() * ratio) + 2, round(area.bottom() * ratio) - 2)
        colours = [image.pixelColor(x, row) for row in rows]
        return sum(colour.blue() - colour.red() > 60 for colour in colours)

    assert view.lanes._newest == pytest.approx(5.9)
    assert solid_at(1.0) and solid_at(5.0) and not solid_at(3.0)


@pytest.mark.parametrize(
    ("score", "threshold"),
    [(math.nan, math.nan), (math.inf, math.inf), (3e38, -3e38), (0.0, 0.0), (41.0, 41.0)],
)
def test_odd_scores_can_be_painted(view, store, client, make_monitor, score, threshold) -> None:
    for number in (1, 2, 3):
        client.incoming.monitors.put(make_monitor(score, inference=number, threshold=threshold))
    store.take(client.incoming)
    view.refresh(store, 0.0)
    assert not view.grab().isNull()
    low, high = view.lanes.traces[0].bounds()
    assert math.isfinite(low) and math.isfinite(high) and low < high
