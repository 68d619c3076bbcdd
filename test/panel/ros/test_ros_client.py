"""The panel over real DDS against a fake policy node."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from hanging_end import ended_while_it_hung, participant_threads
from patience import PATIENCE, PATIENCE_MS
from PyQt5.QtCore import QEvent, QPoint, QRectF, Qt
from PyQt5.QtGui import QMouseEvent
from PyQt5.QtTest import QTest
from PyQt5.QtWidgets import QApplication
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from std_srvs.srv import SetBool, Trigger

from vla_sae_ros.core.steering import Edit, Mode
from vla_sae_ros.msg import (
    FeatureActivations,
    FeatureCatalogue,
    FeatureInfo,
    InstructionChange,
    MonitorState,
    SteeringEditState,
    SteeringLease,
    SteeringState,
)
from vla_sae_ros.panel.frame.window import PanelWidget
from vla_sae_ros.panel.ros.ros_thread import RosThread
from vla_sae_ros.panel.table.delegates import x_of
from vla_sae_ros.panel.table.table_columns import Column
from vla_sae_ros.panel.views.traces import monitor_traces
from vla_sae_ros.srv import SetSteering
from vla_sae_ros.wire import qos
from vla_sae_ros.wire.conversions import to_floats, to_unsigned


class FakePolicy:
    """Speaks like a policy with four features at one site; refuses values over 4."""

    def __init__(self) -> None:
        self.context = Context()
        rclpy.init(context=self.context)
        self.node = Node("policy", context=self.context)
        self.catalogue = self.node.create_publisher(
            FeatureCatalogue, "policy/catalogue", qos.LATCHED
        )
        self.features = self.node.create_publisher(
            FeatureActivations, "policy/features", qos.FEATURES
        )
        self.state = self.node.create_publisher(SteeringState, "steering/state", qos.LATCHED)
        self.diagnostics = self.node.create_publisher(
            DiagnosticArray, "/diagnostics", qos.DIAGNOSTICS
        )
        self.node.create_service(SetSteering, "steering/set", self._on_set)
        self.node.create_service(SetBool, "steering/bypass", self._on_bypass)
        self.node.create_service(Trigger, "steering/reset", self._on_reset)
        self.node.create_subscription(
            SteeringLease, "steering/heartbeat", self.leases_append, qos.HEARTBEAT
        )
        self.node.create_timer(0.2, self._speak)
        self.requests: list[SetSteering.Request] = []
        self.bypasses: list[bool] = []
        self.resets = 0
        self.leases: list[SteeringLease] = []
        self.silent = False
        self.inactive = False
        self.edits: list[SteeringEditState] = []
        self.catalogue.publish(
            FeatureCatalogue(
                policy_id="fake",
                sites=["backbone.1"],
                bundle_ids=["b"],
                dictionary_sizes=to_unsigned([4]),
                can_steer=[True],
                mean_residual_norms=to_floats([1.0]),
                features=[
                    FeatureInfo(
                        site="backbone.1",
                        feature=f,
                        label=f"f{f}\nodd\x00text"[:6],
                        observed_max=2.0,
                    )
                    for f in range(4)
                ],
            )
        )
        self._publish_state()
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.thread = threading.Thread(target=self.executor.spin, daemon=True)
        self.thread.start()

    def leases_append(self, message: SteeringLease) -> None:
        self.leases.append(message)

    def close(self) -> None:
        self.executor.shutdown()
        self.thread.join(PATIENCE)
        self.node.destroy_node()
        rclpy.shutdown(context=self.context)

    def _on_set(self, request, response):
        self.requests.append(request)
        if any(abs(edit.value) > 4 for edit in request.edits):
            response.reason = "over the limit of 4"
            return response
        self.edits = [
            SteeringEditState(edit=edit, owner=request.owner, commanded=2 * edit.value)
            for edit in request.edits
        ]
        response.accepted = True
        self._publish_state()
        return response

    def _on_bypass(self, request, response):
        self.bypasses.append(request.data)
        response.success = True
        self._publish_state()
        return response

    def _on_reset(self, request, response):
        self.resets += 1
        self.edits = []
        response.success = True
        self._publish_state()
        return response

    def _publish_state(self) -> None:
        bypass = bool(self.bypasses and self.bypasses[-1])
        self.state.publish(SteeringState(edits=self.edits, bypass=bypass, cap=0.5))

    def _speak(self) -> None:
        if self.silent:
            return
        self.features.publish(
            FeatureActivations(
                site="backbone.1",
                index=to_unsigned([2]),
                natural=to_floats([1.0]),
                applied=to_floats([1.0]),
            )
        )
        state = [KeyValue(key="lifecycle", value="inactive")] if self.inactive else []
        self.diagnostics.publish(
            DiagnosticArray(status=[DiagnosticStatus(name="policy: inference", values=state)])
        )


@pytest.fixture
def policy() -> Iterator[FakePolicy]:
    made = FakePolicy()
    yield made
    made.close()


@pytest.fixture
def panel(qtbot, policy: FakePolicy, ros: RosThread) -> Iterator[PanelWidget]:
    widget = PanelWidget(ros.client)
    qtbot.addWidget(widget)
    widget.resize(1100, 400)
    with qtbot.waitExposed(widget):
        widget.show()
    qtbot.waitUntil(lambda: widget.model.rowCount() == 4)
    qtbot.waitUntil(lambda: ros.client.commands.offers("steering/set"))
    yield widget
    widget.stop()


def drag(panel: PanelWidget, view_row: int, value: float) -> None:
    area = panel.table.visualRect(panel.model.index(view_row, Column.STEER))
    viewport, to = (
        panel.table.viewport(),
        QPoint(round(x_of(value, QRectF(area), 5.0)), area.center().y()),
    )
    QTest.mousePress(viewport, Qt.MouseButton.LeftButton, pos=area.center())
    QApplication.sendEvent(
        viewport,
        QMouseEvent(
            QEvent.Type.MouseMove,
            to,
            Qt.MouseButton.NoButton,
            Qt.MouseButton.LeftButton,
            Qt.KeyboardModifier.NoModifier,
        ),
    )
    QTest.mouseRelease(viewport, Qt.MouseButton.LeftButton, pos=to)


def test_a_dragged_slider_arrives_as_a_request_and_its_confirmation_is_shown(
    qtbot, panel, policy, ros
) -> None:
    row = panel.model.data_row(panel.model.index(1, 0))
    site, feature = panel.model.columns.name_of(row)
    drag(panel, 1, 3.0)
    qtbot.waitUntil(lambda: bool(policy.requests))
    qtbot.waitUntil(lambda: not panel.model.columns.slider(row).pending)

    request = policy.requests[-1]
    assert request.owner == ros.client.owner
    (edit,) = request.edits
    assert (edit.site, edit.feature, edit.mode, edit.unit) == (
        site,
        feature,
        edit.CLAMP,
        edit.OBSERVED_MAX,
    )
    assert edit.value == pytest.approx(3.0, abs=0.05)
    assert panel.model.columns.slider(row).commanded == pytest.approx(edit.value, abs=1e-3)


def test_a_refusal_arrives_with_the_policys_reason(qtbot, panel, policy) -> None:
    drag(panel, 0, 5.0)
    qtbot.waitUntil(lambda: "over the limit of 4" in panel.note_line.text)
    assert "REFUSED" in panel.note_line.text


def test_bypass_and_release_all_reach_the_policy(qtbot, panel, policy) -> None:
    panel.tools.bypass.click()
    qtbot.waitUntil(lambda: "BYPASSED" in panel.tools.bypass.text())
    panel.tools.bypass.click()
    panel.release_all()
    qtbot.waitUntil(lambda: policy.resets == 1)
    assert policy.bypasses == [True, False]


def test_the_heartbeat_stops_when_the_window_is_frozen(qtbot, panel, policy, ros) -> None:
    qtbot.waitUntil(lambda: bool(policy.leases))
    assert policy.leases[0].owner == ros.client.owner
    panel.stop()  # no frames any more, as if a slot hung
    newest = [0, 0.0]

    def silent_for() -> float:
        if newest[0] != len(policy.leases):
            newest[:] = [len(policy.leases), time.monotonic()]
        return time.monotonic() - newest[1]

    qtbot.waitUntil(lambda: silent_for() > 5.0)  # several times its period


def test_a_policy_that_falls_silent_is_shown_as_lost_and_recovers(qtbot, panel, policy) -> None:
    qtbot.waitUntil(lambda: panel.status.link_line.text().startswith("Connected"))
    policy.silent = True
    qtbot.waitUntil(lambda: "CONNECTION LOST" in panel.status.link_line.text())
    assert not panel.table.isEnabled()
    policy.silent = False
    qtbot.waitUntil(lambda: panel.table.isEnabled())


def test_without_a_policy_a_request_says_so_and_nothing_blocks(qtbot, ros) -> None:
    assert not ros.client.commands.steer([Edit(1, Mode.CLAMP, 1.0, "backbone.1")])
    (outcome,) = ros.client.incoming.outcomes.take()
    assert not outcome.accepted and "no node offers it" in outcome.text


def test_the_program_opens_without_torch_or_cv2_and_ends_on_sigterm(tmp_path) -> None:
    script = (
        "import sys\n"
        "from PyQt5.QtCore import QTimer\n"
        "from vla_sae_ros.panel import app\n"
        "heavy = {'torch', 'cv2', 'lerobot', 'matplotlib'} & set(sys.modules)\n"
        "QTimer.singleShot(0, lambda: print('open', sorted(heavy), flush=True))\n"
        "sys.exit(app.main([]))\n"
    )
    environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen", "XDG_CONFIG_HOME": str(tmp_path)}
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=environment
    )
    assert process.stdout is not None
    try:
        assert process.stdout.readline().strip() == "open []"
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0
        assert "layout" in (tmp_path / "vla_sae_ros" / "panel.conf").read_text()  # remembered
    finally:
        process.kill()
        process.stdout.close()


def test_a_panel_that_hangs_at_its_end_is_ended(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    program = (
        "from PyQt5.QtCore import QTimer\n"
        "from PyQt5.QtWidgets import QApplication\n"
        "from vla_sae_ros.panel import app\n"
        "QTimer.singleShot(0, lambda: QApplication.instance().quit())\n"
        "app.main()"
    )
    ended_while_it_hung(program)
    assert "layout" in (tmp_path / "vla_sae_ros" / "panel.conf").read_text()


def test_when_the_panel_has_left_nothing_of_it_is_in_the_graph() -> None:
    threads = participant_threads()
    thread = RosThread()
    assert participant_threads() != threads
    thread.close()
    assert participant_threads() == threads


def test_without_a_screen_the_program_says_so() -> None:
    hidden = {"DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"}
    environment = {k: v for k, v in os.environ.items() if k not in hidden}
    done = subprocess.run(
        [sys.executable, "-m", "vla_sae_ros.panel"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 3 and "DISPLAY" in done.stderr


@pytest.mark.parametrize(
    ("name", "value", "status", "words"),
    [("DISPLAY", ":77", 3, "DISPLAY=:77"), ("ROS_DOMAIN_ID", "abc", 2, "got 'abc'")],
)
def test_a_stale_display_and_a_wrong_domain_are_said_in_a_sentence(
    name: str, value: str, status: int, words: str
) -> None:
    environment = {k: v for k, v in os.environ.items() if k != "WAYLAND_DISPLAY"} | {name: value}
    if name == "DISPLAY":
        del environment["QT_QPA_PLATFORM"]
    done = subprocess.run(
        [sys.executable, "-m", "vla_sae_ros.panel"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == status
    assert words in done.stderr and "Traceback" not in done.stderr


def test_an_inactive_policy_is_shown_as_such(qtbot, panel, policy) -> None:
    policy.inactive = True
    shown = panel.status.link_line
    qtbot.waitUntil(lambda: "INACTIVE" in shown.text(), timeout=PATIENCE_MS)
    policy.inactive = False
    qtbot.waitUntil(lambda: "Connected" in shown.text(), timeout=PATIENCE_MS)


def test_a_monitors_alarm_is_heard_and_shown(qtbot, panel, policy) -> None:
    assert panel.status.monitor_line.isHidden()
    publisher = policy.node.create_publisher(MonitorState, "monitor/state", qos.FEATURES)
    said = MonitorState(
        site="backbone.1",
        score_name="fvu",
        inference=3,
        observation_step=6,
        score=0.9,
        threshold=0.5,
        alarm=True,
        alarm_step=6,
        on_alarm=MonitorState.HOLD,
        detail="fvu at backbone.1 0.9 above 0.5 at step 6, inference 3\n(x)",
    )

    def shown() -> bool:
        publisher.publish(said)  # the subscription may not have been matched before
        return "ALARM" in panel.status.monitor_line.text

    qtbot.waitUntil(shown)
    words = panel.status.monitor_line.text
    assert words.endswith("above 0.5 at step 6, inference 3 (x); hold not confirmed")
    (trace,) = monitor_traces(panel.store)
    assert trace.alarming and trace.solid[-1] == pytest.approx(0.9)


def test_another_instruction_is_heard_and_stands_among_the_events(qtbot, panel, policy) -> None:
    publisher = policy.node.create_publisher(InstructionChange, "instruction", qos.EVENTS)
    said = InstructionChange(instruction="take the milk\n", owner="me", step=12, revision=1)

    def shown() -> bool:
        publisher.publish(said)  # the subscription may not have been matched before
        return any(
            (event.kind, event.owner, event.reason) == ("told", "me", "take the milk")
            for event in panel.store.events
        )

    qtbot.waitUntil(shown, timeout=PATIENCE_MS)
