"""The widget with a fake client: what a hand does and what an eye sees."""

from __future__ import annotations

import time
from collections.abc import Sequence

import pytest
from PyQt5.QtCore import QEvent, QPoint, QRectF, Qt
from PyQt5.QtGui import QMouseEvent
from PyQt5.QtTest import QTest
from PyQt5.QtWidgets import QApplication, QDoubleSpinBox

from vla_sae_ros.core.steering import Edit, Mode, Unit
from vla_sae_ros.panel import guard, window
from vla_sae_ros.panel.delegates import x_of
from vla_sae_ros.panel.table_model import Column
from vla_sae_ros.panel.values import FeatureName, Outcome
from vla_sae_ros.panel.window import PanelWidget


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
    QApplication.sendEvent(panel.table.viewport(), QMouseEvent(
        QEvent.Type.MouseMove, to, Qt.MouseButton.NoButton, Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier))


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
    QTest.mouseClick(panel.table.viewport(), Qt.MouseButton.LeftButton,
                     pos=area.center() + QPoint(60, 0))
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
    client.incoming.outcomes.put(Outcome(False, "steering REFUSED: over the limit"))
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


def test_the_order_is_held_while_a_slider_is_dragged(
    panel, client, make_activations
) -> None:
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
    monkeypatch.setattr(window, "MISHAPS", mishaps)
    panel._mishaps = 0
    client.incoming.activations.put("not a message")
    panel.tick()
    panel.tick()
    assert mishaps.count == 1
    assert "1 internal errors" in panel.note_line.text


def test_everything_can_be_painted_in_every_state(
    panel, client, make_activations, make_steering
) -> None:
    client.incoming.steering.put(make_steering(("backbone.1", 1, 20.0)))
    client.incoming.activations.put(make_activations(
        "backbone.1", {0: (1.0, 1.0), 1: (0.5, 20.0)}))
    panel.tick()
    panel.table.selectRow(1)
    for heard in (time.monotonic(), time.monotonic() - 60):
        client.incoming.last_heard = heard
        panel.tick()
        assert not panel.grab().isNull()
