"""The panel and a real policy node over real DDS: a hand moves a slider, the next chunk differs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rclpy
from geometry_msgs.msg import PoseStamped
from patience import PATIENCE
from PyQt5.QtCore import QEvent, QPoint, QRectF, Qt
from PyQt5.QtGui import QMouseEvent
from PyQt5.QtTest import QTest
from PyQt5.QtWidgets import QApplication
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from sensor_msgs.msg import Image, JointState

from vla_sae_ros.live.demo_settings import read_demo_settings
from vla_sae_ros.msg import ActionChunk, ChunkRequest
from vla_sae_ros.nodes.policy.policy_node import PolicyNode
from vla_sae_ros.panel.frame.window import PanelWidget
from vla_sae_ros.panel.ros.ros_thread import RosThread
from vla_sae_ros.panel.table.delegates import x_of
from vla_sae_ros.panel.table.table_columns import Column
from vla_sae_ros.resources import resource
from vla_sae_ros.wire import qos
from vla_sae_ros.wire.conversions import to_header, to_image, to_joint_state, to_pose, to_time

START, PERIOD = 1_700_000_000_000_000_000, 50_000_000


class FakeBridge:
    """Publishes an observation and asks for its chunk, once per `ask`."""

    def __init__(self, context: Context) -> None:
        self.node = rclpy.create_node("fake_bridge", context=context)
        self.chunks: list[ActionChunk] = []
        self.step = 0
        make = self.node.create_publisher
        self._pictures = [
            make(Image, f"observation/image/{name}", qos.OBSERVATION)
            for name in ("agentview", "wrist")
        ]
        self._pose = make(PoseStamped, "ee_pose", qos.OBSERVATION)
        self._gripper = make(JointState, "gripper", qos.OBSERVATION)
        self._requests = make(ChunkRequest, "policy/request", qos.CHUNK)
        self.node.create_subscription(
            ActionChunk, "policy/action_chunk", self.chunks.append, qos.CHUNK
        )

    @property
    def connected(self) -> bool:
        return all(
            each.get_subscription_count()
            for each in (*self._pictures, self._pose, self._gripper, self._requests)
        )

    def ask(self) -> None:
        self.step += 1
        header = to_header(START + self.step * PERIOD)
        for publisher in self._pictures:
            publisher.publish(to_image(np.full((256, 256, 3), 90, np.uint8), header))
        self._pose.publish(to_pose([0.1, 0.2, 0.3], [1.0, 0.0, 0.0, 0.0], header))
        self._gripper.publish(
            to_joint_state(["finger_joint1", "finger_joint2"], [0.01, -0.01], header)
        )
        self._requests.publish(
            ChunkRequest(
                header=header,
                episode_id="e",
                instruction="pick up the butter",
                seed=3,
                start=to_time(START),
                step=self.step,
            )
        )


class System:
    """A policy node that can be stopped and started with other bundles, and a fake bridge."""

    def __init__(self, policy: Path) -> None:
        self._policy = policy
        self.context = Context()
        rclpy.init(context=self.context)
        self.bridge = FakeBridge(self.context)
        self._executor = SingleThreadedExecutor(context=self.context)
        self._executor.add_node(self.bridge.node)
        self._thread = threading.Thread(target=self._executor.spin, daemon=True)
        self._thread.start()
        self.node: PolicyNode | None = None

    def start(self, *bundles: Path) -> None:
        self.node = PolicyNode(
            context=self.context,
            parameter_overrides=[
                Parameter("policy", value=str(self._policy)),
                Parameter("bundles", value=[str(bundle) for bundle in bundles]),
                Parameter("slew_limit", value=1e6),
            ],
        )
        self.node.start()
        self._executor.add_node(self.node)

    def stop(self) -> None:
        if self.node is not None:
            self._executor.remove_node(self.node)
            self.node.destroy_node()
            self.node = None

    def close(self) -> None:
        self._executor.shutdown()
        self._thread.join(PATIENCE)
        if self.node is not None:
            self.node.destroy_node()
        self.bridge.node.destroy_node()
        rclpy.shutdown(context=self.context)


@pytest.fixture
def bundles(loaded, make_bundle: Callable[..., Any], tmp_path: Path) -> dict[str, Path]:
    """Bundles of two sites, on disk."""
    folders = {site: tmp_path / site for site in ("backbone.0", "expert.1")}
    for site, folder in folders.items():
        make_bundle(loaded, site).save(folder)
    return folders


@pytest.fixture
def system(tiny_policy_folder: Path) -> Iterator[System]:
    made = System(tiny_policy_folder)
    yield made
    made.close()


@pytest.fixture
def open_panel(qtbot) -> Iterator[Callable[[], tuple[PanelWidget, RosThread]]]:
    """Open panels with nodes of their own."""
    opened: list[tuple[PanelWidget, RosThread]] = []

    def make() -> tuple[PanelWidget, RosThread]:
        ros = RosThread()
        widget = PanelWidget(ros.client, views=())
        qtbot.addWidget(widget)
        widget.resize(1500, 600)
        with qtbot.waitExposed(widget):
            widget.show()
        qtbot.waitUntil(lambda: widget.model.rowCount() > 0)
        qtbot.waitUntil(lambda: ros.client.commands.offers("steering/set"))
        opened.append((widget, ros))
        return widget, ros

    yield make
    for widget, ros in opened:
        widget.stop()
        ros.close()


def drag_to(panel: PanelWidget, row: int, value: float) -> None:
    """Drag the slider of a data row, as a hand does."""
    panel.table.select(row)
    area = panel.table.visualRect(panel.model.index(panel.model.place_of(row), Column.STEER))
    viewport = panel.table.viewport()
    to = QPoint(round(x_of(value, QRectF(area), 5.0)), area.center().y())
    QTest.mousePress(viewport, Qt.MouseButton.LeftButton, pos=area.center())
    for at in (area.center() + QPoint(20, 0), to):
        QApplication.sendEvent(
            viewport,
            QMouseEvent(
                QEvent.Type.MouseMove,
                at,
                Qt.MouseButton.NoButton,
                Qt.MouseButton.LeftButton,
                Qt.KeyboardModifier.NoModifier,
            ),
        )
    QTest.mouseRelease(viewport, Qt.MouseButton.LeftButton, pos=to)


@pytest.fixture
def demonstration() -> Iterator[System]:
    made = System(resource("models", "demo", "policy"))
    yield made
    made.close()


def test_a_dragged_slider_changes_the_next_chunk_and_the_applied_value(
    qtbot, system, bundles, open_panel
) -> None:
    system.start(*bundles.values())
    drag_and_see(qtbot, system, open_panel, ("expert.1", 2))


def test_a_dragged_slider_steers_the_demonstration_policy(qtbot, demonstration, open_panel) -> None:
    demonstration.start(*sorted(resource("models", "demo", "sae").iterdir()))
    edit = read_demo_settings(resource("config", "demo.yaml")).steering.edits[0]
    drag_and_see(qtbot, demonstration, open_panel, (edit.site, edit.feature))


def drag_and_see(qtbot, system, open_panel, feature: tuple[str, int]) -> None:
    """Drag a feature's slider between two chunks: revision, actions and applied value change."""
    panel, _ = open_panel()
    panel.tools.ramp.setValue(0.0)
    panel.tools.lease.setValue(panel.tools.lease.maximum())  # a busy machine's panel is late
    bridge, columns = system.bridge, panel.store.columns
    qtbot.waitUntil(lambda: bridge.connected)
    bridge.ask()
    qtbot.waitUntil(lambda: bool(bridge.chunks and panel.store.newest))
    plain = bridge.chunks[0]
    row = columns.row_of(feature)

    drag_to(panel, row, 4.0)
    wanted = columns.edit_of(row).value
    qtbot.waitUntil(
        lambda: row in columns.edits and columns.edits[row].edit.value == pytest.approx(wanted)
    )
    bridge.ask()

    def steered() -> list[ActionChunk]:
        return [c for c in bridge.chunks if c.observation_step == bridge.step]

    qtbot.waitUntil(lambda: bool(steered()))
    assert steered()[0].steering_revision > plain.steering_revision
    assert list(steered()[0].actions) != list(plain.actions)
    assert wanted == pytest.approx(4.0, abs=0.05)
    qtbot.waitUntil(
        lambda: columns.slider(row).applied == pytest.approx(wanted, rel=1e-3)
    )  # z' in observed maxima


def test_a_panel_that_dies_leaves_its_edits_to_the_lease_and_another_panel_sees_it(
    qtbot, system, bundles, open_panel
) -> None:
    system.start(bundles["expert.1"])
    (first, ros), (second, _) = open_panel(), open_panel()
    qtbot.waitUntil(lambda: second.status.link_line.text().startswith("Connected"))
    row = first.store.columns.row_of(("expert.1", 2))

    def told() -> bool:
        edit = second.store.columns.edits.get(row)
        if edit is None:  # not yet, or the lease ran out: a busy machine's panel is late
            first.editing.commit(row, 2.0)
            return False
        return edit.owner == ros.client.owner in second.status.steering_line.text

    qtbot.waitUntil(told)
    first.stop()  # no frames: no heartbeat, as after a kill
    qtbot.waitUntil(lambda: second.store.columns.edit_of(row) is None)  # on its way back
    qtbot.waitUntil(
        lambda: any(
            e.kind == "lease expired" and e.owner == ros.client.owner for e in second.store.events
        )
    )


def test_a_policy_restarted_with_another_bundle_changes_the_table_and_says_what_is_gone(
    qtbot, system, bundles, open_panel
) -> None:
    system.start(bundles["expert.1"])
    panel, _ = open_panel()
    row = panel.store.columns.row_of(("expert.1", 2))
    panel.editing.commit(row, 2.0)
    qtbot.waitUntil(lambda: row in panel.store.columns.edits)
    said: list[str] = []
    tell = panel.tell
    panel.tell = lambda text, warning=False: (said.append(text), tell(text, warning))  # type: ignore[method-assign]

    system.stop()
    system.start(bundles["backbone.0"])
    qtbot.waitUntil(lambda: [site.name for site in panel.store.catalogue.sites] == ["backbone.0"])
    qtbot.waitUntil(lambda: panel.store.steering is not None and not panel.store.steering.edits)
    assert panel.model.rowCount() == panel.store.catalogue.size
    assert any("are gone" in text for text in said)
    assert not panel.store.columns.edits and not panel.editing.stack.canUndo()
