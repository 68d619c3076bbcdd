"""RViz, Foxglove and PlotJuggler views: what they name is what the wire carries.

RViz and PlotJuggler cannot run here; their files are read as their formats say.
"""

from __future__ import annotations

import importlib
import json
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from vla_sae_ros.nodes.recorder.topics import CONTRACT_TOPICS
from vla_sae_ros.resources import resource

TYPES = {f"/{topic.name.lstrip('/')}": topic.msgtype for topic in CONTRACT_TOPICS} | {
    "/observation/image/agentview": "sensor_msgs/msg/Image",
    "/observation/image/wrist": "sensor_msgs/msg/Image",
    "/policy/feature_heatmap": "sensor_msgs/msg/Image",
    "/markers": "visualization_msgs/msg/MarkerArray",
}
RVIZ_TYPES = {
    "rviz_default_plugins/Image": "sensor_msgs/msg/Image",
    "rviz_default_plugins/MarkerArray": "visualization_msgs/msg/MarkerArray",
    "rviz_default_plugins/Pose": "geometry_msgs/msg/PoseStamped",
}
NUMBERS = {"float", "double", "int32", "uint32", "uint64"}
BEST_EFFORT = {topic for topic, kind in TYPES.items() if kind == "sensor_msgs/msg/Image"}


def message_class(msgtype: str) -> Any:
    package, kind, name = msgtype.split("/")
    return getattr(importlib.import_module(f"{package}.{kind}"), name)


def field_type(msgtype: str, path: list[str]) -> str:
    """Follow a path of fields; an index takes the element of a sequence."""
    for part in path:
        name, index = re.fullmatch(r"(\w+)(\[\d+\])?", part).groups()
        found = message_class(msgtype).get_fields_and_field_types()[name]
        if index:
            found = re.sub(r"^sequence<(.*?)(, \d+)?>$", r"\1", found)
        msgtype = found.replace("/", "/msg/") if "/" in found else found
    return msgtype


def rviz_displays() -> list[dict[str, Any]]:
    view = yaml.safe_load(resource("rviz", "steering.rviz").read_text())
    return view["Visualization Manager"]["Displays"]


def test_rviz_shows_every_topic_with_the_display_of_its_type() -> None:
    shown = {d["Topic"]["Value"]: RVIZ_TYPES[d["Class"]] for d in rviz_displays() if "Topic" in d}
    assert shown == {topic: TYPES[topic] for topic in shown}
    assert set(shown) >= {
        "/markers",
        "/policy/feature_heatmap",
        "/observation/image/agentview",
        "/observation/image/wrist",
    }


def test_rviz_subscribes_so_that_every_publisher_is_heard() -> None:
    for display in rviz_displays():
        topic = display.get("Topic")
        if topic and topic["Value"] in BEST_EFFORT:
            assert topic["Reliability Policy"] == "Best Effort", topic
    view = yaml.safe_load(resource("rviz", "steering.rviz").read_text())
    assert view["Visualization Manager"]["Global Options"]["Fixed Frame"] == "world"


def test_the_namespaces_that_rviz_switches_are_those_of_the_markers_node() -> None:
    from vla_sae_ros.nodes.markers.messages import PATH, PREVIEW, TEXT

    (markers,) = [d for d in rviz_displays() if d["Class"] == "rviz_default_plugins/MarkerArray"]
    assert set(markers["Namespaces"]) == {PATH, PREVIEW, TEXT}


def foxglove() -> dict[str, Any]:
    return json.loads(resource("config", "layouts", "foxglove.json").read_text())


def leaves(layout: Any) -> Iterator[str]:
    if isinstance(layout, str):
        yield layout
        return
    assert set(layout) == {"first", "second", "direction", "splitPercentage"}
    assert layout["direction"] in ("row", "column") and 0 < layout["splitPercentage"] < 100
    yield from leaves(layout["first"])
    yield from leaves(layout["second"])


def test_foxglove_lays_out_every_panel_once() -> None:
    layout = foxglove()
    assert sorted(leaves(layout["layout"])) == sorted(layout["configById"])
    kinds = {name.split("!")[0] for name in layout["configById"]}
    assert kinds <= {"Image", "3D", "Plot", "RawMessages"}


def test_foxglove_names_topics_and_numbers_that_are_on_the_wire() -> None:
    checked = 0
    for name, panel in foxglove()["configById"].items():
        for topic in panel.get("topics", {}):
            assert topic in TYPES, (name, topic)
        if "imageMode" in panel:
            assert TYPES[panel["imageMode"]["imageTopic"]] == "sensor_msgs/msg/Image"
        if "topicPath" in panel:
            assert panel["topicPath"] in TYPES
        for path in panel.get("paths", ()):
            topic, where, fields = re.fullmatch(
                r"(/[\w/]+)(?:\{(\w+)==\"[\w.]+\"\})?\.(.+)", path["value"]
            ).groups()
            if where:
                assert field_type(TYPES[topic], [where]) == "string"
            assert field_type(TYPES[topic], fields.split(".")) in NUMBERS, path
            checked += 1
    assert checked > 10


def plotjuggler_curves() -> list[str]:
    root = ElementTree.parse(resource("config", "layouts", "plotjuggler.xml")).getroot()
    assert root.tag == "root"
    for splitter in root.iter("DockSplitter"):
        areas, sizes = splitter.findall("DockArea"), splitter.attrib["sizes"].split(";")
        assert len(areas) == len(sizes) == int(splitter.attrib["count"])
        assert sum(map(float, sizes)) == pytest.approx(1, abs=1e-3)
    return [curve.attrib["name"] for curve in root.iter("curve")]


def test_plotjuggler_plots_numbers_that_are_on_the_wire() -> None:
    curves = plotjuggler_curves()
    assert len(curves) > 15
    for curve in curves:
        topic = max((t for t in TYPES if curve.startswith(f"{t}/")), key=len)
        path = curve.removeprefix(f"{topic}/").split("/")
        if TYPES[topic] == "sensor_msgs/msg/JointState":
            # PlotJuggler names the values of a JointState by joint.
            assert path[0] in ("finger_joint1", "finger_joint2") and path[1] == "position"
        else:
            assert field_type(TYPES[topic], path) in NUMBERS, curve


STYLES = {"Lines", "LinesAndDots", "Dots", "Sticks", "Steps", "StepsInv"}


def test_plotjuggler_finds_every_element_where_its_loader_looks_for_it() -> None:
    """The order in which PlotJuggler walks a layout; what it does not find it ignores silently."""
    root = ElementTree.parse(resource("config", "layouts", "plotjuggler.xml")).getroot()
    assert [each.tag for each in root] == ["tabbed_widget", "use_relative_time_offset"]
    widget = root[0]
    assert widget.attrib == {"name": "Main Window", "parent": "main_window"}
    tabs = widget.findall("Tab")
    assert len({tab.attrib["tab_name"] for tab in tabs}) == len(tabs) == len(widget) - 1
    assert 0 <= int(widget.find("currentTabIndex").attrib["index"]) < len(tabs)
    for tab in tabs:
        (container,) = tab
        assert container.tag == "Container" and tab.attrib["containers"] == "1"
        (splitter,) = container
        assert splitter.tag == "DockSplitter" and splitter.attrib["orientation"] in ("-", "|")
        assert {area.tag for area in splitter} == {"DockArea"}
        for area in splitter:
            (plot,) = area
            assert area.attrib["name"] and plot.tag == "plot"
            assert plot.attrib["mode"] == "TimeSeries" and plot.attrib["style"] in STYLES
            assert len(plot) and {curve.tag for curve in plot} == {"curve"}
            for curve in plot:
                assert set(curve.attrib) == {"name", "color"}
                assert re.fullmatch("#[0-9A-F]{6}", curve.attrib["color"])
