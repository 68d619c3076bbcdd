"""The options of the stand-alone window, and the layout it remembers."""

from __future__ import annotations

import argparse
import json
import sys

import pytest
from PyQt5.QtCore import QSettings
from PyQt5.QtGui import QPalette

from vla_sae_ros.panel import app
from vla_sae_ros.panel.frame.window import PanelWidget
from vla_sae_ros.panel.screen import why_no_screen
from vla_sae_ros.panel.widgets import guard
from vla_sae_ros.panel.widgets.inks import use_theme


def parse(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    app.add_arguments(parser)
    return parser.parse_args(words)


@pytest.mark.parametrize(
    ("given", "name"), [("/left", "/left"), ("lab/left/", "/lab/left"), ("", "/")]
)
def test_a_namespace_goes_to_the_panels_node(given: str, name: str) -> None:
    assert parse("--namespace", given).namespace == name
    assert app._in_namespace(name) == ["--ros-args", "-r", f"__ns:={name}"]
    assert app._in_namespace(parse().namespace) == []


def test_theme_and_scale_are_options() -> None:
    assert (parse().theme, parse().scale) == ("system", 100)
    options = parse("--theme", "dark", "--scale", "150")
    assert (options.theme, options.scale) == ("dark", 150)


@pytest.mark.parametrize(
    "words",
    [
        ("--scale", "50"),
        ("--scale", "201"),
        ("--scale", "big"),
        ("--theme", "pink"),
        ("--namespace", "no way"),
    ],
)
def test_options_out_of_range_are_refused_with_what_is_allowed(words, capsys) -> None:
    with pytest.raises(SystemExit):
        parse(*words)
    said = capsys.readouterr().err
    assert "100 to 200" in said or "'dark'" in said or "dark" in said


def test_a_theme_colours_the_application_and_the_system_theme_leaves_it(qapp) -> None:
    before, style = QPalette(qapp.palette()), qapp.style().objectName()
    try:
        use_theme(qapp, "system")
        assert qapp.palette() == before
        use_theme(qapp, "dark")
        assert qapp.palette().color(QPalette.ColorRole.Base).lightness() < 60
    finally:
        qapp.setPalette(before)
        qapp.setStyle(style)


def test_a_remembered_layout_comes_back_and_an_unreadable_one_is_left_aside(
    qtbot, client, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mishaps = guard.Mishaps()
    monkeypatch.setattr(app, "MISHAPS", mishaps)
    panel = PanelWidget(client, views=())
    panel.stop()
    qtbot.addWidget(panel)
    settings = QSettings(str(tmp_path / "panel.ini"), QSettings.Format.IniFormat)
    settings.setValue("layout", json.dumps({**panel.save_layout(), "search": "gripper"}))
    app._restore(panel, settings)
    assert panel.tools.search.text() == "gripper"
    settings.setValue("layout", "{not json")
    app._restore(panel, settings)
    assert panel.tools.search.text() == "gripper"
    assert mishaps.count == 1 and "remembered layout" in mishaps.last


def test_views_are_hidden_while_the_client_is_there(
    qapp, client, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = []

    class Window(PanelWidget):
        def hideEvent(self, event) -> None:
            order.append("hidden")
            super().hideEvent(event)

    class Ros:
        def __init__(self, _arguments: list[str]) -> None:
            self.client = client

        def close(self) -> None:
            order.append("the client is gone")

    class Application:
        """Its user quits at once."""

        def __init__(self, _words: list[str]) -> None:
            self.primaryScreen = qapp.primaryScreen

        def exec_(self) -> int:
            return 0

    settings = QSettings(str(tmp_path / "panel.ini"), QSettings.Format.IniFormat)
    fakes = {"PanelWidget": Window, "RosThread": Ros, "QApplication": Application}
    for name, fake in fakes.items():
        monkeypatch.setattr(app, name, fake)
    monkeypatch.setattr(app, "QSettings", lambda *_: settings)
    monkeypatch.setattr(app.signal, "signal", lambda *_: None)
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)  # put back afterwards
    assert app.open_window("system", 100, []) == 0
    assert order == ["hidden", "the client is gone"]


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"QT_QPA_PLATFORM": "xcb"},
        {"QT_QPA_PLATFORM": "xcb", "WAYLAND_DISPLAY": "wayland-0"},
        {"DISPLAY": ":9999"},
        {"DISPLAY": ":9999", "QT_QPA_PLATFORM": "xcb"},
    ],
)
def test_an_x_server_that_is_not_there_is_said_before_qt_ends_the_process(environment) -> None:
    assert "DISPLAY" in why_no_screen(environment)


@pytest.mark.parametrize(
    "environment",
    [{"QT_QPA_PLATFORM": "offscreen"}, {"WAYLAND_DISPLAY": "wayland-0", "DISPLAY": ":9999"}],
)
def test_a_screen_that_is_no_x_servers_is_left_to_qt(environment) -> None:
    assert why_no_screen(environment) == ""
