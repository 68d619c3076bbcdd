"""The widget with a fake client: what a hand does and what an eye sees."""

from __future__ import annotations

import json
import re
import time
from array import array
from collections.abc import Sequence
from pathlib import Path

import pytest
import rclpy
from PyQt5.QtCore import QEvent, QPoint, QPointF, QRectF, Qt
from PyQt5.QtGui import QColor, QMouseEvent, QPalette, QWheelEvent
from PyQt5.QtTest import QTest
from PyQt5.QtWidgets import (
    QApplication,
    QComboBox,
    QDialog,
    QDoubleSpinBox,
    QPlainTextEdit,
    QWidget,
)

from vla_sae_ros.core.steering import Edit, Mode, Unit, parse_preset
from vla_sae_ros.msg import FeatureActivations, FeatureCatalogue, FeatureInfo
from vla_sae_ros.panel.editing.hand_keys import SPEED
from vla_sae_ros.panel.frame import window
from vla_sae_ros.panel.frame.cheat_sheet import CheatSheet
from vla_sae_ros.panel.frame.shortcuts import SHORTCUTS
from vla_sae_ros.panel.frame.window import PanelWidget
from vla_sae_ros.panel.ros.from_messages import catalogue_view
from vla_sae_ros.panel.ros.ros_client import RosClient
from vla_sae_ros.panel.state.values import (
    FeatureName,
    RecordingView,
    RequestResult,
    RobotView,
    TakeoverView,
)
from vla_sae_ros.panel.table import feature_table
from vla_sae_ros.panel.table.delegates import x_of
from vla_sae_ros.panel.table.table_columns import Column
from vla_sae_ros.panel.table.table_model import Filter
from vla_sae_ros.panel.views.view import Area, ViewSpec
from vla_sae_ros.panel.widgets import guard, inks


@pytest.fixture
def panel(qtbot, client, make_catalogue) -> PanelWidget:
    client.incoming.catalogues.put("", make_catalogue())
    widget = PanelWidget(client)
    widget.stop()  # frames are made by hand
    qtbot.addWidget(widget)
    widget.resize(1100, 500)
    with qtbot.waitExposed(widget):
        widget.show()
    widget.activateWindow()
    qtbot.waitUntil(widget.isActiveWindow)
    widget.tick()
    return widget


def cell(panel: PanelWidget, name: FeatureName):
    row = [panel.model.columns.name_of(each) for each in panel.model.order].index(name)
    return panel.table.visualRect(panel.model.index(row, Column.STEER))


def move(panel: PanelWidget, to: QPoint) -> None:
    QApplication.sendEvent(
        panel.table.viewport(),
        QMouseEvent(
            QEvent.Type.MouseMove,
            to,
            Qt.MouseButton.NoButton,
            Qt.MouseButton.LeftButton,
            Qt.KeyboardModifier.NoModifier,
        ),
    )


def drag(panel: PanelWidget, name: FeatureName, values: Sequence[float]) -> None:
    area = cell(panel, name)
    QTest.mousePress(panel.table.viewport(), Qt.MouseButton.LeftButton, pos=area.center())
    for value in values:
        to = QPoint(round(x_of(value, QRectF(area), 5.0)), area.center().y() + 60)
        move(panel, to)  # the pointer has left the row: the drag stays with it
    QTest.mouseRelease(panel.table.viewport(), Qt.MouseButton.LeftButton, pos=to)


def edits_sent(client) -> list[Edit]:
    return [edit for kind, what in client.requests if kind == "steer" for edit in what[0]]


def test_a_drag_sends_values_and_ends_with_the_last_one(panel, client) -> None:
    drag(panel, ("backbone.1", 1), [1.0, 2.0, 3.0])
    sent = edits_sent(client)
    assert {edit.key for edit in sent} == {("backbone.1", 1)}
    assert sent[-1].value == pytest.approx(3.0, abs=0.05)
    assert (sent[-1].mode, sent[-1].unit) == (Mode.CLAMP, Unit.OBSERVED_MAX)
    assert panel.model.columns.slider(panel.model.columns.row_of(("backbone.1", 1))).pending


def test_a_click_alone_changes_nothing(panel, client) -> None:
    area = cell(panel, ("backbone.1", 1))
    QTest.mouseClick(
        panel.table.viewport(), Qt.MouseButton.LeftButton, pos=area.center() + QPoint(60, 0)
    )
    assert client.requests == []


def test_a_hand_that_trembles_on_a_click_changes_nothing(panel, client) -> None:
    at = cell(panel, ("backbone.1", 1)).center() + QPoint(60, 0)
    QTest.mousePress(panel.table.viewport(), Qt.MouseButton.LeftButton, pos=at)
    move(panel, at + QPoint(1, 1))
    QTest.mouseRelease(panel.table.viewport(), Qt.MouseButton.LeftButton, pos=at)
    assert client.requests == []


def test_a_feature_that_cannot_be_steered_does_not_drag(panel, client) -> None:
    drag(panel, ("backbone.1", 3), [2.0])
    assert client.requests == []


def test_a_typed_number_is_sent_once(panel, client, qtbot) -> None:
    area = cell(panel, ("expert.0", 2))
    QTest.mouseClick(panel.table.viewport(), Qt.MouseButton.LeftButton, pos=area.center())
    QTest.mouseDClick(panel.table.viewport(), Qt.MouseButton.LeftButton, pos=area.center())
    box = panel.table.findChild(QDoubleSpinBox)
    assert box is not None
    box.setValue(7.5)
    QTest.keyClick(box, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: bool(client.requests))
    (edit,) = edits_sent(client)
    assert (edit.key, edit.value) == (("expert.0", 2), 7.5)


def test_a_tap_on_space_latches_the_bypass_and_the_next_lifts_it(
    panel, client, make_steering
) -> None:
    QTest.keyClick(panel.table, Qt.Key.Key_Space)
    client.incoming.steering.put(make_steering(bypass=True))
    panel.tick()
    assert "BYPASSED" in panel.tools.bypass.text()
    QTest.keyClick(panel.table, Qt.Key.Key_Space)
    assert client.requests == [("bypass", True), ("bypass", False)]


def test_space_in_the_search_box_is_a_space(panel, client) -> None:
    panel.tools.search.setFocus()
    QTest.keyClicks(panel.tools.search, "soup view")
    assert panel.tools.search.text() == "soup view"
    assert client.requests == []


@pytest.mark.parametrize("focus", ["table", "search"])
def test_escape_releases_everything_and_sends_nothing_that_still_waited(
    panel, client, focus: str
) -> None:
    client.commands.busy = True
    panel.table.dragged.emit(panel.model.columns.row_of(("backbone.1", 1)), 1.0)
    widget = {"table": panel.table, "search": panel.tools.search}[focus]
    widget.setFocus()
    QTest.keyClick(widget, Qt.Key.Key_Escape)
    client.commands.busy = False
    panel.tick()
    assert client.requests == [("reset", None)]


def test_delete_releases_the_selected_feature(panel, client, make_steering) -> None:
    client.incoming.steering.put(make_steering(("expert.0", 1, 2.0)))
    panel.tick()
    panel.select(("expert.0", 1))
    QTest.keyClick(panel.table, Qt.Key.Key_Delete)
    assert client.requests == [("steer", ([], [("expert.0", 1)]))]


def test_a_refusal_is_shown_and_the_slider_returns_to_the_truth(
    panel, client, make_steering
) -> None:
    row = panel.model.columns.row_of(("backbone.1", 1))
    client.incoming.steering.put(make_steering(("backbone.1", 1, 0.5)))
    panel.tick()
    panel.table.committed.emit(row, 4.0)
    client.incoming.outcomes.put(RequestResult(False, "steering REFUSED: over the limit"))
    panel.tick()
    assert panel.note_line.text == "steering REFUSED: over the limit"
    assert panel.note_line.warning
    assert panel.model.columns.slider(row).commanded == 0.5


def test_a_lost_connection_is_impossible_to_miss(panel, client) -> None:
    client.incoming.last_heard = time.monotonic() - 60
    panel.tick()
    assert "CONNECTION LOST" in panel.status.link_line.text()
    assert not panel.table.isEnabled()
    client.incoming.last_heard = time.monotonic()
    panel.tick()
    assert panel.status.link_line.text().startswith("Connected") and panel.table.isEnabled()
    assert panel.table.hasFocus()  # Space is bypass again


def test_a_lost_connection_moves_nothing_under_the_pointer(panel, client) -> None:
    before = [part.geometry() for part in (*panel.areas.bars, panel.tools, panel.areas)]
    client.incoming.last_heard = time.monotonic() - 60
    panel.tick()
    QApplication.processEvents()
    after = [part.geometry() for part in (*panel.areas.bars, panel.tools, panel.areas)]
    assert "CONNECTION LOST" in panel.status.link_line.text() and before == after


def test_an_alarm_is_in_the_status_line_and_moves_nothing_under_the_pointer(
    panel, client, make_monitor
) -> None:
    line = panel.status.monitor_line
    assert line.isHidden()
    before = [part.geometry() for part in (*panel.areas.bars, panel.tools, panel.areas)]
    client.incoming.monitors.put(make_monitor(0.2))
    panel.tick()
    assert line.isVisible() and line.text.startswith("monitor: fvu 0.2") and not line.warning
    cause = "fvu at backbone.1 0.9 above 0.5 at step 4, inference 2"
    client.incoming.monitors.put(make_monitor(0.9, 2, alarm=True, alarm_step=4, detail=cause))
    panel.tick()
    QApplication.processEvents()
    assert line.text.startswith(f"ALARM: {cause}") and line.warning
    after = [part.geometry() for part in (*panel.areas.bars, panel.tools, panel.areas)]
    assert before == after


def test_a_narrow_panel_keeps_its_sliders_and_folds_the_views_away(panel) -> None:
    right = next(tabs for tabs in panel.areas.tabs if tabs.accessibleName() == Area.RIGHT.value)
    assert right.isVisible()
    panel.resize(600, 700)
    QApplication.processEvents()
    assert panel.width() == 600 and not right.isVisible()
    assert not panel.table.isColumnHidden(Column.STEER)
    end = panel.table.columnViewportPosition(Column.STEER) + panel.table.columnWidth(Column.STEER)
    assert end <= panel.table.viewport().width(), "the slider is seen without scrolling"
    for button in (panel.tools.release, panel.tools.bypass, panel.tools.undo):
        assert panel.rect().contains(button.mapTo(panel, button.rect().bottomRight()))
    panel.toggle_right()
    assert right.isVisible(), "who wants the views has them"
    panel.toggle_right()
    assert panel.save_layout()["areas"]["hidden"] == [], "folded, not hidden by anybody"
    panel.resize(1300, 700)
    QApplication.processEvents()
    assert right.isVisible()


def test_names_and_reasons_of_others_do_not_widen_the_window(panel, client, make_steering) -> None:
    long = "no owner: " + 40 * "<b>wide</b> "
    client.incoming.takeovers.put("", TakeoverView(True, long, True, 3, long))
    client.incoming.recordings.put("", RecordingView("FAILED", "/b", 0.0, 0, 0, 0, long))
    client.incoming.steering.put(make_steering(("backbone.1", 1, 2.0), owner=long))
    panel.tick()
    assert not panel.status.takeover_label.isHidden() and long in panel.status.takeover_label.text()
    panel.resize(600, 700)
    QApplication.processEvents()
    assert panel.width() == 600


def test_at_1280_by_800_what_moves_or_stops_a_robot_is_reached_without_scrolling(
    panel, client
) -> None:
    client.commands.offered |= {"run_episode"} | {
        f"bridge/{name}" for name in ("enable", "stop", "recover", "takeover")
    }
    detail = "no chunk for 3.0 s: the policy is lost, or its machine is too slow"
    counts = (1000, 3, 0.004, 1000, 12, 3, 7, 2)
    client.incoming.robots.put(
        "",
        RobotView("STOPPED", "policy_lost", detail, "fr3", "franky", "panel_test", 0.4, *counts),
    )
    panel.resize(1280, 800)
    right = next(tabs for tabs in panel.areas.tabs if tabs.accessibleName() == Area.RIGHT.value)
    pane = panel.areas.view("Episode")
    right.setCurrentIndex([right.tabText(i) for i in range(right.count())].index("Episode"))
    panel.tick()
    QApplication.processEvents()
    assert (panel.width(), panel.height()) == (1280, 800)
    seen = pane.viewport().rect()
    for button in (pane.robot.enable, pane.robot.recover, pane.run, pane.cancel):
        area = button.rect().translated(button.mapTo(pane.viewport(), QPoint(0, 0)))
        assert button.isVisible() and seen.contains(area), button.text()


def test_the_order_is_held_while_a_slider_is_dragged(panel, client, make_activations) -> None:
    area = cell(panel, ("backbone.1", 1))
    QTest.mousePress(panel.table.viewport(), Qt.MouseButton.LeftButton, pos=area.center())
    move(panel, area.center() + QPoint(40, 0))
    before = panel.model.order.copy()
    client.incoming.activations.put(make_activations("expert.0", {2: (9.0, 9.0)}))
    panel._next_sort = 0.0
    panel.tick()
    assert (panel.model.order == before).all()


def test_an_exception_in_a_frame_is_shown_and_the_next_frame_runs(
    panel, client, monkeypatch: pytest.MonkeyPatch
) -> None:
    mishaps = guard.Mishaps()
    monkeypatch.setattr(guard, "MISHAPS", mishaps)
    monkeypatch.setattr(panel.note_line, "_mishaps", mishaps)
    monkeypatch.setattr(panel.note_line, "_before", 0)
    client.incoming.activations.put("not a message")
    panel.tick()
    panel.tick()
    assert mishaps.count == 1
    assert "1 internal errors" in panel.note_line.text


def test_everything_can_be_painted_in_every_state(
    panel, client, make_activations, make_steering
) -> None:
    client.incoming.steering.put(make_steering(("backbone.1", 1, 20.0)))
    client.incoming.activations.put(make_activations("backbone.1", {0: (1.0, 1.0), 1: (0.5, 20.0)}))
    panel.tick()
    panel.table.selectRow(1)
    for heard in (time.monotonic(), time.monotonic() - 60):
        client.incoming.last_heard = heard
        panel.tick()
        assert not panel.grab().isNull()


def test_space_held_compares_and_gives_back(panel, client) -> None:
    panel._bypass_key.press(False, 0.0)
    panel._bypass_key.release(5.0)
    assert client.requests == [("bypass", True), ("bypass", False)]


@pytest.fixture
def by_hand(panel, client, qtbot):
    """Return a panel that has taken over, with the keyboard in its table."""

    def tell(owner: str = "panel_test", taken_over: bool = True, **about: object) -> None:
        told = {"silent": False, "refused": 0, "refusal": ""} | about
        client.incoming.takeovers.put("", TakeoverView(taken_over, owner, **told))
        panel.tick()

    panel.table.setFocus()
    qtbot.waitUntil(panel.table.hasFocus)
    tell()
    panel.tell_takeover = tell
    return panel


def test_f4_takes_over_and_then_hands_back(panel, client) -> None:
    panel.toggle_takeover()
    client.incoming.takeovers.put("", TakeoverView(True, "panel_test", False, 0, ""))
    panel.tick()
    panel.toggle_takeover()
    client.incoming.takeovers.put("", TakeoverView(True, "another", False, 0, ""))
    panel.tick()
    panel.toggle_takeover()
    assert client.requests == [("take over", on) for on in (True, False, True)]


@pytest.mark.parametrize(
    ("key", "axis", "sign"),
    [("W", 0, 1), ("S", 0, -1), ("A", 1, 1), ("D", 1, -1), ("R", 2, 1), ("F", 2, -1)],
)
def test_a_key_moves_the_hand_only_while_it_is_held(by_hand, client, key, axis, sign) -> None:
    code = getattr(Qt.Key, f"Key_{key}")
    QTest.keyPress(by_hand.table, code)
    by_hand.tick()
    assert client.commands.moves[-1] == tuple(SPEED * sign * (a == axis) for a in range(3))
    QTest.keyRelease(by_hand.table, code)
    by_hand.tick()
    assert client.commands.moves[-1] == (0.0, 0.0, 0.0)


def test_the_hand_stands_still_once_the_keyboard_is_elsewhere(by_hand, client) -> None:
    QTest.keyPress(by_hand.table, Qt.Key.Key_W)
    by_hand.tools.search.setFocus()
    by_hand.tick()
    assert client.commands.moves[-1] == (0.0, 0.0, 0.0)
    QTest.keyClicks(by_hand.tools.search, "wasdrfg")
    by_hand.tick()
    assert by_hand.tools.search.text() == "wasdrfg"
    assert set(client.commands.moves) == {(0.0, 0.0, 0.0)} and client.requests == []


def test_keys_move_nothing_while_the_policy_or_another_client_commands(by_hand, client) -> None:
    for owner, taken_over in (("another", True), ("", False)):
        by_hand.tell_takeover(owner, taken_over)
        client.commands.moves.clear()
        QTest.keyPress(by_hand.table, Qt.Key.Key_W)
        by_hand.tick()
        QTest.keyRelease(by_hand.table, Qt.Key.Key_W)
        assert client.commands.moves == []


def test_a_takeover_that_ends_lets_every_key_up(by_hand, client) -> None:
    QTest.keyPress(by_hand.table, Qt.Key.Key_W)
    by_hand.tell_takeover("", False)
    by_hand.tell_takeover()
    assert client.commands.moves[-1] == (0.0, 0.0, 0.0)


def test_g_closes_and_opens_the_gripper(by_hand, client) -> None:
    for _ in range(2):
        QTest.keyClick(by_hand.table, Qt.Key.Key_G)
    assert client.requests == [("grip", 1.0), ("grip", 0.0)]


def test_stop_and_the_other_keys_work_as_ever_while_the_hand_is_moved(by_hand, client) -> None:
    client.commands.offered.add("bridge/stop")
    QTest.keyPress(by_hand.table, Qt.Key.Key_W)
    QTest.keyClick(by_hand.table, Qt.Key.Key_F12)
    assert ("stop", None) in client.requests
    by_hand.select(("expert.0", 2))
    QTest.keyClick(by_hand.table, Qt.Key.Key_P)
    assert by_hand.store.pinned == [("expert.0", 2)]


def test_the_status_says_who_moves_the_arm_by_hand(by_hand) -> None:
    label = by_hand.status.takeover_label
    assert "BY HAND" in label.text() and "F4" in label.text()
    by_hand.tell_takeover("script", silent=True, refused=3, refusal="too fast")
    assert label.text() == "BY HAND of script, SILENT: holds still, 3 commands refused"
    assert label.toolTip() == f"{label.text()}   too fast"
    by_hand.tell_takeover("", False)
    assert label.isHidden()


def test_p_pins_the_selected_feature_and_the_star_unpins_it(panel) -> None:
    panel.select(("expert.0", 2))
    QTest.keyClick(panel.table, Qt.Key.Key_P)
    assert panel.store.pinned == [("expert.0", 2)]
    star = panel.table.visualRect(
        panel.model.index(
            panel.model.place_of(panel.store.columns.row_of(("expert.0", 2))), Column.PIN
        )
    )
    QTest.mouseClick(panel.table.viewport(), Qt.MouseButton.LeftButton, pos=star.center())
    assert panel.store.pinned == []


def test_arrow_keys_move_a_slider_and_one_press_is_one_step(panel, client) -> None:
    panel.select(("backbone.1", 1))
    for _ in range(3):
        QTest.keyPress(panel.table, Qt.Key.Key_Right)
    QTest.keyRelease(panel.table, Qt.Key.Key_Right)
    assert edits_sent(client)[-1].value == pytest.approx(3 * 0.02 * 5.0)
    assert panel.editing.stack.count() == 1


def test_a_mode_is_chosen_by_key_from_a_menu(panel, client, qtbot) -> None:
    panel.select(("backbone.1", 1))
    QTest.keyClick(panel.table, Qt.Key.Key_M)
    box = panel.table.findChild(QComboBox)
    box.setCurrentIndex(box.findText("project out"))
    QTest.keyClick(box, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: bool(client.requests))
    assert edits_sent(client)[-1].mode is Mode.PROJECT_OUT


def test_where_new_edits_remove_a_direction_enter_and_double_click_do(panel, client) -> None:
    panel.tools.mode.setCurrentText("project out")
    panel.select(("backbone.1", 1))
    QTest.keyClick(panel.table, Qt.Key.Key_Return)
    QTest.mouseDClick(
        panel.table.viewport(), Qt.MouseButton.LeftButton, pos=cell(panel, ("expert.0", 2)).center()
    )
    assert [(edit.key, edit.mode) for edit in edits_sent(client)] == [
        (("backbone.1", 1), Mode.PROJECT_OUT),
        (("expert.0", 2), Mode.PROJECT_OUT),
    ]
    assert not panel.grab().isNull()


def test_a_number_can_be_typed_into_the_value_column_too(panel) -> None:
    panel.select(("backbone.1", 1))
    row = panel.model.place_of(panel.store.columns.row_of(("backbone.1", 1)))
    panel.table.edit(panel.model.index(row, Column.VALUE))
    assert panel.table.findChild(QDoubleSpinBox) is not None


def test_undo_and_redo_by_key(panel, client) -> None:
    panel.table.committed.emit(panel.store.columns.row_of(("backbone.1", 1)), 2.0)
    QTest.keyClick(panel.table, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    QTest.keyClick(panel.table, Qt.Key.Key_Y, Qt.KeyboardModifier.ControlModifier)
    assert [what for _, what in client.requests][1] == ([], [("backbone.1", 1)])
    assert edits_sent(client)[-1].value == 2.0


def test_the_rows_are_sorted_once_before_the_pointer_holds_them(
    panel, client, make_activations, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(panel.table), "under_pointer", property(lambda self: True))
    first = lambda: panel.store.columns.name_of(int(panel.model.order[0]))  # noqa: E731
    client.incoming.activations.put(make_activations("expert.0", {2: (9.0, 9.0)}))
    panel.tick()
    assert first() == ("expert.0", 2)
    panel._next_sort = 0.0
    client.incoming.activations.put(make_activations("expert.0", {1: (9.0, 9.0)}, inference=2))
    panel.tick()
    assert first() == ("expert.0", 2)
    assert "held under the pointer" in panel.tools.count_label.text()


def test_the_last_values_are_sorted_although_nothing_comes_after_them(
    panel, client, make_activations
) -> None:
    first = lambda: panel.store.columns.name_of(int(panel.model.order[0]))  # noqa: E731
    client.incoming.activations.put(make_activations("expert.0", {2: (9.0, 9.0)}))
    panel.tick()
    assert first() == ("expert.0", 2)
    panel._next_sort = float("inf")  # it was sorted a moment ago
    client.incoming.activations.put(make_activations("expert.0", {1: (9.0, 9.0)}, inference=2))
    panel.tick()
    assert first() == ("expert.0", 2)
    panel._next_sort = 0.0
    panel.tick()
    assert first() == ("expert.0", 1)


def test_a_pointer_that_nobody_moved_holds_no_order(
    panel, client, make_activations, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = [QPoint(200, 300)]
    monkeypatch.setattr(feature_table.QCursor, "pos", lambda: where[0])
    client.incoming.activations.put(make_activations("expert.0", {2: (9.0, 9.0)}))

    def held() -> bool:
        panel.tick()
        return "held under the pointer" in panel.tools.count_label.text()

    QApplication.sendEvent(panel.table.viewport(), QEvent(QEvent.Type.Enter))
    assert not held(), "the window has opened under it"
    where[0] = QPoint(210, 310)
    assert held()
    QApplication.sendEvent(panel.table.viewport(), QEvent(QEvent.Type.Leave))
    assert not held()


def test_new_edits_take_mode_unit_ramp_and_lease_from_the_tools(panel, client) -> None:
    panel.tools.mode.setCurrentText("add SAE units")
    panel.tools.ramp.setValue(2.5)
    panel.tools.lease.setValue(7.0)
    panel.table.committed.emit(panel.store.columns.row_of(("backbone.1", 1)), 2.0)
    edit = edits_sent(client)[-1]
    assert (edit.mode, edit.unit, edit.ramp) == (Mode.ADD, Unit.NATURAL, 2.5)
    assert client.commands.lease == 7.0


def test_the_policy_serving_other_features_is_said_and_forgets_the_undo(
    panel, client, make_catalogue, make_steering
) -> None:
    panel.table.committed.emit(panel.store.columns.row_of(("backbone.1", 1)), 2.0)
    client.incoming.steering.put(make_steering(("backbone.1", 1, 2.0)))
    panel.tick()
    client.incoming.catalogues.put("", make_catalogue(size=6, policy="other"))
    panel.tick()
    assert panel.model.rowCount() == 12
    assert "1 edits of the old ones are gone" in panel.note_line.text
    assert not panel.tools.undo.isEnabled()


def test_a_layout_saved_as_plain_values_comes_back(panel, client, qtbot) -> None:
    panel.tools.search.setText("soup")
    panel.tools.filters[Filter.ALIVE].setChecked(True)
    panel.model.sort_by_title(Column.COVERAGE)
    panel.store.toggle_pin(("expert.0", 2))
    panel.tools.lease.setValue(9.0)
    layout = json.loads(json.dumps(panel.save_layout()))
    again = PanelWidget(client)
    again.stop()
    qtbot.addWidget(again)
    again.restore_layout(layout)
    assert {**again.save_layout(), "areas": layout["areas"]} == layout  # sizes: the window's
    assert again.store.pinned == [("expert.0", 2)] and client.commands.lease == 9.0


def test_a_layout_of_another_version_is_taken_as_far_as_it_fits(panel) -> None:
    panel.restore_layout(
        {
            "areas": {"columns": "odd", "hidden": ["nowhere"]},
            "table": {"sort": "COLOUR", "widths": {"GONE": 3}},
        }
    )
    assert panel.model.rowCount() == 8


def test_f1_lists_every_key(panel) -> None:
    QTest.keyClick(panel.table, Qt.Key.Key_F1)
    text = panel.findChild(CheatSheet).text.toPlainText()
    for shortcut in SHORTCUTS:
        assert shortcut.keys in text and shortcut.words in text


def test_every_key_has_its_method(panel) -> None:
    for shortcut in SHORTCUTS:
        if shortcut.action and not shortcut.view:
            assert callable(getattr(panel, shortcut.action))


def test_presets_are_saved_loaded_and_compared(panel, client, make_steering, tmp_path) -> None:
    client.incoming.steering.put(make_steering(("backbone.1", 1, 2.0)))
    panel.tick()
    panel.presets.save_to(str(tmp_path / "mine"))
    text = (tmp_path / "mine.yaml").read_text()
    saved = parse_preset(text)
    assert [edit.key for edit in saved.edits] == [("backbone.1", 1)]
    assert saved.bundles == {"backbone.1": "b"}  # another bundle's feature 1 is another thing
    panel.presets.load_from(str(tmp_path / "mine.yaml"))
    assert client.requests[-1] == ("preset", text)
    panel.presets.compare_with(str(tmp_path / "mine.yaml"))
    shown = panel.findChild(QDialog, "comparison").findChild(QPlainTextEdit)
    assert shown.toPlainText() == "No difference."


@pytest.mark.parametrize("content", ["not: [a preset", "format: 9\nname: x\nedits: []\n", None])
def test_a_preset_that_cannot_be_read_is_said_and_changes_nothing(
    panel, client, tmp_path, content
) -> None:
    path = tmp_path / "bad.yaml"
    if content is not None:
        path.write_text(content)
    panel.presets.load_from(str(path))
    assert client.requests == []
    assert panel.note_line.warning and "nothing changed" in panel.note_line.text


def test_a_view_is_made_when_it_is_first_shown_and_drawn_only_while_visible(client, qtbot) -> None:
    class FakeView(QWidget):
        frames = 0

        def refresh(self, store, now) -> None:
            type(self).frames += 1

        def save(self) -> dict:
            return {"zoom": 3}

    made: list[str] = []

    def maker(title: str):
        def make(context) -> QWidget:
            made.append(title)
            return FakeView()

        return make

    specs = tuple(
        ViewSpec(title, area, maker(title))
        for title, area in (("strip", Area.BAR), ("first", Area.BOTTOM), ("second", Area.BOTTOM))
    )
    panel = PanelWidget(client, views=specs)
    panel.stop()
    qtbot.addWidget(panel)
    with qtbot.waitExposed(panel):
        panel.show()
    panel.tick()
    assert made == ["strip", "first"] and FakeView.frames == 2
    panel.toggle_bottom()
    panel.tick()
    assert FakeView.frames == 3
    assert panel.save_layout()["areas"]["hidden"] == ["bottom"]
    assert panel.save_layout()["areas"]["views"]["strip"] == {"zoom": 3}


def test_a_view_that_fails_is_said_and_the_rest_goes_on(
    client, qtbot, make_catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    class BrokenView(QWidget):
        def refresh(self, store, now) -> None:
            raise ValueError("a broken view")

    mishaps = guard.Mishaps()
    monkeypatch.setattr(guard, "MISHAPS", mishaps)
    monkeypatch.setattr(window, "MISHAPS", mishaps)
    panel = PanelWidget(client, views=(ViewSpec("x", Area.BAR, lambda c: BrokenView()),))
    panel.stop()
    qtbot.addWidget(panel)
    with qtbot.waitExposed(panel):
        panel.show()
    client.incoming.catalogues.put("", make_catalogue())
    panel.tick()
    panel.tick()
    assert panel.model.rowCount() == 8
    assert "a broken view" in panel.note_line.text


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_status_colours_are_readable_in_both_themes(theme: str) -> None:
    for style in (inks.WARNING, inks.GOOD, inks.NEUTRAL, inks.CAUTION):
        ground, ink = re.findall(r": (\S+);", style)
        assert contrast(QColor(ground), QColor(ink)) > 4.5
    palette = inks._PALETTES[theme]
    role = QPalette.ColorRole
    for ground, ink in (
        (role.Base, role.Text),
        (role.Window, role.WindowText),
        (role.Highlight, role.HighlightedText),
        (role.Button, role.ButtonText),
    ):
        assert contrast(QColor(palette[ground]), QColor(palette[ink])) > 4.5


def contrast(first: QColor, second: QColor) -> float:
    """WCAG 2 contrast ratio."""

    def luminance(colour: QColor) -> float:
        parts = [
            c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4
            for c in (colour.redF(), colour.greenF(), colour.blueF())
        ]
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]

    high, low = sorted((luminance(first), luminance(second)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_the_documentation_lists_the_keys_as_they_are() -> None:
    page = (Path(__file__).parents[3] / "docs" / "panel.md").read_text()
    rows = "\n".join(f"| `{each.keys}` | {each.words} |" for each in SHORTCUTS)
    assert rows in page


def test_a_malformed_message_is_counted_and_the_next_one_is_taken(
    ros_context, monkeypatch: pytest.MonkeyPatch
) -> None:
    mishaps = guard.Mishaps()
    monkeypatch.setattr(guard, "MISHAPS", mishaps)
    node = rclpy.create_node("panel", context=ros_context)
    client = RosClient(node)
    client._on_features(FeatureActivations(site="s", index=array("I", [1, 2])))
    client._on_features(FeatureActivations(site="s"))
    client.close()
    node.destroy_node()
    assert "lengths of index" in mishaps.last and mishaps.count == 1
    assert len(client.incoming.activations.take()) == 1


def test_sixty_five_thousand_features_with_odd_texts_are_shown_and_painted(panel, client) -> None:
    odd = ("\x00bell\nline", "\u202eright to left", "x" * 5000, "🤖 grasps", "שלום", "")
    size = 65_536
    client.incoming.catalogues.put(
        "",
        catalogue_view(
            FeatureCatalogue(
                policy_id="large",
                sites=["s"],
                bundle_ids=["b"],
                dictionary_sizes=array("I", [size]),
                can_steer=[True],
                mean_residual_norms=array("f", [1.0]),
                features=[
                    FeatureInfo(site="s", feature=f, label=odd[f % len(odd)], observed_max=1.0)
                    for f in range(size)
                ],
            )
        ),
    )
    panel.tick()
    assert panel.model.rowCount() == size
    panel.tools.search.setText("grasps")
    assert panel.model.rowCount() == sum(odd[f % len(odd)] == "🤖 grasps" for f in range(size))
    assert not panel.grab().isNull()


def test_the_wheel_over_a_box_without_the_focus_changes_nothing(panel) -> None:
    box = panel.tools.ramp
    panel.table.setFocus()
    before = box.value()
    wheel = QWheelEvent(
        QPointF(5, 5),
        QPointF(box.mapToGlobal(QPoint(5, 5))),
        QPoint(),
        QPoint(0, 120),
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(box, wheel)
    assert box.value() == before


def test_a_number_typed_for_the_ramp_gives_the_keys_back_to_the_table(panel, client) -> None:
    panel.tools.ramp.setFocus()
    QTest.keyClick(panel.tools.ramp, Qt.Key.Key_Return)
    assert panel.table.hasFocus()


def test_going_to_the_table_selects_its_first_visible_row(panel) -> None:
    panel.table.setFocus()  # Qt gives it a current cell, which is no selection
    panel.focus_table()
    places = {index.row() for index in panel.table.selectedIndexes()}
    assert places == {panel.table.rowAt(0)}


def test_a_key_on_a_slider_that_cannot_move_says_why(panel) -> None:
    rows = range(panel.model.columns.size)
    panel.table.select(next(row for row in rows if not panel.table._can_drag(row)))
    QTest.keyClick(panel.table, Qt.Key.Key_Right)
    assert "no slider to move" in panel.note_line.text
    assert not panel.store.columns.edits and not panel.editing.stack.canUndo()
