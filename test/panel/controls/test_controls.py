"""Stop, record, remarks, episodes, robot."""

from __future__ import annotations

from dataclasses import replace

import pytest
from PyQt5.QtCore import QPoint, QPointF, Qt
from PyQt5.QtGui import QWheelEvent
from PyQt5.QtTest import QTest
from PyQt5.QtWidgets import QApplication

from vla_sae_ros.panel.controls.control_bar import ControlBar
from vla_sae_ros.panel.controls.episode import EpisodePane
from vla_sae_ros.panel.controls.record_words import clock, size
from vla_sae_ros.panel.frame.window import PanelWidget
from vla_sae_ros.panel.state.values import EpisodeGoal, RobotView


@pytest.fixture
def bar(qtbot, context) -> ControlBar:
    result = ControlBar(context)
    qtbot.addWidget(result)
    return result


@pytest.fixture
def pane(qtbot, context) -> EpisodePane:
    result = EpisodePane(context)
    qtbot.addWidget(result)
    return result


def test_stop_stops_the_robot_where_there_is_one(bar, store, client, qtbot) -> None:
    client.commands.offered = {"bridge/stop", "run_episode"}
    bar.refresh(store, 0.0)
    assert "STOP ROBOT" in bar.stop.text()
    qtbot.mouseClick(bar.stop, Qt.MouseButton.LeftButton)
    assert client.requests == [("stop", None)]


def test_stop_cancels_the_episode_in_simulation(bar, store, client, make_episode) -> None:
    client.commands.offered = {"run_episode"}
    store.episode = make_episode()
    bar.refresh(store, 0.0)
    assert "STOP EPISODE" in bar.stop.text()
    bar.stop_now()
    assert client.requests == [("cancel", None)]


def test_what_stands_beside_stop_never_moves_to_where_it_was(
    bar, store, client, make_episode
) -> None:
    bar.resize(1000, 40)
    bar.show()
    store.episode = make_episode()
    places = set()
    for offered in ({"bridge/stop"}, {"run_episode"}, set()):
        client.commands.offered = offered
        bar.refresh(store, 0.0)
        store.episode = store.episode if offered else None
        bar.refresh(store, 0.0)
        QApplication.processEvents()
        places.add((bar.stop.geometry().getRect(), bar.record.x()))
    assert len(places) == 1


def test_stop_without_a_bridge_warns(bar, store, told) -> None:
    bar.refresh(store, 0.0)
    assert bar.stop.isEnabled()
    bar.stop_now()
    ((words, warning),) = told.lines
    assert "not sent" in words and warning


@pytest.mark.parametrize(
    "keys",
    [
        (Qt.Key.Key_F12, Qt.KeyboardModifier.NoModifier),
        (Qt.Key.Key_Period, Qt.KeyboardModifier.ControlModifier),
    ],
)
@pytest.mark.parametrize("focus", ["table", "search", "remark"])
def test_the_stop_keys_work_from_anywhere_in_the_window(
    qtbot, client, make_catalogue, keys, focus: str
) -> None:
    client.commands.offered = {"bridge/stop"}
    client.incoming.catalogues.put("", make_catalogue())
    panel = PanelWidget(client)
    panel.stop()
    qtbot.addWidget(panel)
    with qtbot.waitExposed(panel):
        panel.show()
    panel.activateWindow()
    qtbot.waitUntil(panel.isActiveWindow)
    panel.tick()
    bar = panel.areas.view("Controls")
    target = {"table": panel.table, "search": panel.tools.search, "remark": bar.record.remark}[
        focus
    ]
    target.setFocus()
    QTest.keyClick(target, *keys)
    assert client.requests == [("stop", None)]
    QTest.keyClick(target, Qt.Key.Key_M, Qt.KeyboardModifier.ControlModifier)
    assert bar.record.remark.hasFocus()


def test_the_record_button_starts_and_stops(bar, store, client, make_recording, qtbot) -> None:
    bar.refresh(store, 0.0)
    assert "No recorder" in bar.record.words.text
    qtbot.mouseClick(bar.record.button, Qt.MouseButton.LeftButton)
    store.recording = make_recording()
    bar.refresh(store, 1.0)
    assert bar.record.words.text.split("   ") == ["1:15", "2.5 MB", "1200 messages", "sim_1"]
    assert "Stop" in bar.record.button.text()
    bar.toggle_recording()
    assert client.requests == [("record", ("", True)), ("stop recording", None)]


def test_dropped_messages_stand_out(bar, store, make_recording) -> None:
    store.recording = make_recording()
    bar.refresh(store, 0.0)
    assert bar.record.dropped.isHidden()
    store.recording = make_recording(dropped=3)
    bar.refresh(store, 0.0)
    assert not bar.record.dropped.isHidden() and bar.record.dropped.text() == "3 DROPPED"
    assert "#a81c00" in bar.record.dropped.styleSheet()


def test_a_recorder_that_falls_silent_while_recording_is_a_warning(
    bar, store, make_recording
) -> None:
    store.recording = make_recording()
    bar.refresh(store, 0.0)
    bar.refresh(store, 4.0)
    assert not bar.record.words.warning
    bar.refresh(store, 6.0)
    assert bar.record.words.warning and "silent" in bar.record.words.text
    store.recording = make_recording(elapsed=82.0)
    bar.refresh(store, 6.1)
    assert not bar.record.words.warning


def test_a_recording_that_failed_says_why(bar, store, make_recording) -> None:
    store.recording = make_recording("FAILED", detail="no space left")
    bar.refresh(store, 0.0)
    assert bar.record.words.warning and "no space left" in bar.record.words.text


def test_a_remark_is_published_once_and_the_line_is_empty_again(
    bar, store, client, told, make_recording
) -> None:
    store.recording = make_recording()
    QTest.keyClicks(bar.record.remark, "  grasp looked wrong ")
    QTest.keyClick(bar.record.remark, Qt.Key.Key_Return)
    QTest.keyClick(bar.record.remark, Qt.Key.Key_Return)
    assert client.requests == [("remark", "grasp looked wrong")]
    assert bar.record.remark.text() == "" and told.lines[-1][1] is False


def test_a_remark_while_nothing_records_warns(bar, told) -> None:
    bar.record.remark.setText("lost?")
    bar.record.mark()
    assert "NOTHING IS RECORDING" in told.lines[-1][0] and told.lines[-1][1]


def test_the_form_is_the_goal_and_back(pane, store, client) -> None:
    client.commands.offered = {"run_episode"}
    goal = EpisodeGoal("libero_goal", 4, 12, 99, "open the drawer", 50, "realtime")
    pane.form.show_goal(goal)
    pane.refresh(store, 0.0)
    pane.start()
    assert client.requests == [("run", goal)]


def test_the_first_episode_heard_of_fills_the_form_and_later_ones_do_not(
    pane, store, client, make_episode
) -> None:
    client.commands.offered = {"run_episode"}
    store.episode = make_episode()
    pane.refresh(store, 0.0)
    goal = pane.form.goal()
    assert (goal.suite, goal.task, goal.init_state, goal.seed) == ("libero_object", 3, 41, 7)
    pane.form.task.setValue(5)
    store.episode = make_episode(step=31)
    pane.refresh(store, 0.1)
    assert pane.form.task.value() == 5


def test_progress_and_buttons_follow_the_episode(pane, store, client, make_episode) -> None:
    pane.refresh(store, 0.0)
    assert not pane.run.isEnabled() and "No bridge" in pane.words.text()
    client.commands.offered = {"run_episode"}
    store.episode = make_episode()
    pane.refresh(store, 0.1)
    assert (pane.progress.value(), pane.progress.maximum()) == (30, 280)
    assert pane.cancel.isEnabled() and not pane.run.isEnabled()
    assert "2 missed deadlines" in pane.words.text()
    store.episode = replace(make_episode(running=False, status="failed"), detail="step limit")
    pane.refresh(store, 0.2)
    assert pane.run.isEnabled() and not pane.cancel.isEnabled()
    assert "failed" in pane.words.text() and "step limit" in pane.words.text()


def test_an_episode_without_a_step_limit_has_progress(pane, store, make_episode) -> None:
    store.episode = replace(make_episode(), max_steps=0, suite="")
    pane.refresh(store, 0.0)
    assert not pane.grab().isNull()


def test_the_robots_buttons_are_there_with_its_services_only(pane, store, client, qtbot) -> None:
    pane.refresh(store, 0.0)
    assert pane.robot.isHidden()
    client.commands.offered = {"bridge/enable", "bridge/recover", "bridge/stop"}
    pane.refresh(store, 0.1)
    assert not pane.robot.isHidden()
    pane.robot.enable.click()
    pane.robot.hold.click()
    pane.robot.recover.click()
    assert client.requests == [("enable", True), ("enable", False), ("recover", None)]
    client.commands.offered = set()
    pane.refresh(store, 0.2)
    assert pane.robot.isHidden()


def test_on_a_robot_the_goal_is_its_instruction(pane, store, client) -> None:
    client.commands.offered = {"bridge/enable", "run_episode"}
    pane.refresh(store, 0.0)
    assert pane.form.suite.isHidden() and pane.form.task.isHidden()
    pane.form.instruction.setText("put the can into the bowl")
    pane.start()
    ((kind, goal),) = client.requests
    assert kind == "run"
    assert (goal.suite, goal.task, goal.clock) == ("", -1, "")
    assert goal.instruction == "put the can into the bowl"


def test_a_stopped_robot_says_why_and_what_to_do(pane, store, client) -> None:
    client.commands.offered = {"bridge/enable", "bridge/recover"}
    store.robot = RobotView(
        "STOPPED",
        "lease_expired",
        "'panel_1' did not renew",
        "panda",
        "franky",
        "",
        0.0,
        900,
        3,
        0.0021,
        700,
        12,
        4,
        180,
        1,
    )
    pane.refresh(store, 0.0)
    words = pane.robot.state.text() + pane.robot.state.toolTip()
    for part in (
        "STOPPED",
        "lease_expired: 'panel_1' did not renew",
        "Recover, then enable",
        "12 limited",
        "p99 2.1 ms",
    ):
        assert part in words
    assert "#a81c00" in pane.robot.state.styleSheet()


def test_the_wheel_does_not_change_a_box_without_the_focus(pane) -> None:
    pane.form.task.setValue(4)
    QApplication.sendEvent(
        pane.form.task,
        QWheelEvent(
            QPointF(5, 5),
            QPointF(5, 5),
            QPoint(0, 0),
            QPoint(0, 120),
            Qt.MouseButton.NoButton,
            Qt.KeyboardModifier.NoModifier,
            Qt.ScrollPhase.NoScrollPhase,
            False,
        ),
    )
    assert pane.form.task.value() == 4


@pytest.mark.parametrize(("seconds", "words"), [(0.0, "0:00"), (75.9, "1:15"), (3725.0, "1:02:05")])
def test_clock(seconds: float, words: str) -> None:
    assert clock(seconds) == words


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1500, "1.5 kB"),
        (2_500_000, "2.5 MB"),
        (5 * 10**15, "5000.0 TB"),
    ],
)
def test_size(count: int, words: str) -> None:
    assert size(count) == words


def test_another_instruction_can_be_typed_only_while_an_episode_runs(
    pane, store, client, make_episode
) -> None:
    pane.refresh(store, 0.0)
    assert not pane.telling.isEnabled() and not pane.tell.isEnabled()
    store.episode = make_episode()
    pane.refresh(store, 0.0)
    assert pane.telling.isEnabled()
    pane.tell.click()
    QTest.keyClicks(pane.telling, "pick up the butter")
    QTest.keyClick(pane.telling, Qt.Key.Key_Return)
    assert client.requests == [("tell", ("pick up the butter", store.episode.episode_id))]
    assert pane.telling.text() == ""
