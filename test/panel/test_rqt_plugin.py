"""The rqt plugin against a small stand-in for rqt, which no registry offers."""

from __future__ import annotations

import importlib
import sys
import types
from collections.abc import Iterator

import pytest
import rclpy
from PyQt5.QtCore import QObject
from rclpy.node import Node


class FakePlugin(QObject):
    """Stands in for rqt's Plugin: a QObject that is made with its context."""

    def __init__(self, context) -> None:
        super().__init__()


class FakeContext:
    """Stands in for rqt's context: its node, its window."""

    def __init__(self, node: Node, number: int = 1) -> None:
        self.node, self._number = node, number
        self.widgets: list = []

    def serial_number(self) -> int:
        return self._number

    def add_widget(self, widget) -> None:
        self.widgets.append(widget)


class FakeSettings:
    """Stands in for a perspective's settings, which keep texts."""

    def __init__(self) -> None:
        self.kept: dict[str, str] = {}

    def set_value(self, key: str, value: str) -> None:
        self.kept[key] = str(value)

    def value(self, key: str, default=None):
        return self.kept.get(key, default)


@pytest.fixture
def plugin_class(monkeypatch: pytest.MonkeyPatch):
    """The plugin's class, imported where a fake `qt_gui.plugin` stands for rqt's."""
    package, module = types.ModuleType("qt_gui"), types.ModuleType("qt_gui.plugin")
    module.Plugin = FakePlugin
    monkeypatch.setitem(sys.modules, "qt_gui", package)
    monkeypatch.setitem(sys.modules, "qt_gui.plugin", module)
    monkeypatch.delitem(sys.modules, "vla_sae_ros.panel.rqt_plugin", raising=False)
    yield importlib.import_module("vla_sae_ros.panel.rqt_plugin").SteeringPanel
    monkeypatch.delitem(sys.modules, "vla_sae_ros.panel.rqt_plugin", raising=False)


@pytest.fixture
def node(ros_context) -> Iterator[Node]:
    made = rclpy.create_node("rqt_gui_py_node", context=ros_context)
    yield made
    made.destroy_node()


def open_plugin(plugin_class, node: Node, qtbot, number: int = 1):
    context = FakeContext(node, number)
    plugin = plugin_class(context)
    (widget,) = context.widgets
    qtbot.addWidget(widget)
    return plugin, widget


def test_a_perspective_brings_the_layout_back(plugin_class, node, qtbot) -> None:
    plugin, widget = open_plugin(plugin_class, node, qtbot)
    widget.tools.search.setText("gripper")
    widget.store.toggle_pin(("expert.1", 80))
    settings = FakeSettings()
    plugin.save_settings(FakeSettings(), settings)
    plugin.shutdown_plugin()

    again, widget = open_plugin(plugin_class, node, qtbot)
    again.restore_settings(FakeSettings(), settings)
    assert widget.tools.search.text() == "gripper"
    assert widget.store.pinned == [("expert.1", 80)]
    again.shutdown_plugin()


def test_a_new_perspective_without_a_layout_opens_as_it_is(plugin_class, node, qtbot) -> None:
    plugin, widget = open_plugin(plugin_class, node, qtbot)
    plugin.restore_settings(FakeSettings(), FakeSettings())
    assert widget.tools.search.text() == ""
    plugin.shutdown_plugin()


def test_shutting_the_plugin_down_leaves_rqts_node_as_it_was(plugin_class, node, qtbot) -> None:
    def parts() -> tuple[int, ...]:
        return tuple(
            len(list(each))
            for each in (
                node.subscriptions,
                node.clients,
                node.publishers,
                node.timers,
                node.waitables,
            )
        )

    before = parts()
    plugin, _ = open_plugin(plugin_class, node, qtbot)
    assert parts() > before
    plugin.shutdown_plugin()
    assert parts() == before


def test_a_second_panel_in_one_rqt_has_a_title_and_an_owner_of_its_own(
    plugin_class, node, qtbot
) -> None:
    (first, one), (second, two) = (open_plugin(plugin_class, node, qtbot, n) for n in (1, 2))
    assert one.windowTitle() != two.windowTitle() and "(2)" in two.windowTitle()
    assert first._client.owner != second._client.owner
    first.shutdown_plugin()
    second.shutdown_plugin()
