"""Markers for RViz and Foxglove: path, preview and text, in the frame of the hand's pose."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from geometry_msgs.msg import Point
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker

from vla_sae_ros.core.one_line import one_line
from vla_sae_ros.core.steering import Mode, Phase, StandingEdit, StateView
from vla_sae_ros.msg import MonitorState
from vla_sae_ros.nodes.markers.hand_path import colour_of

PATH, PREVIEW, TEXT = "hand_path", "chunk_preview", "steering"
"""Namespaces of the markers; each can be switched off in RViz."""

PATH_WIDTH = 0.006  # [m]
PREVIEW_SIZE = 0.008  # [m]
TEXT_HEIGHT = 0.028  # [m] of a capital letter
TEXT_ABOVE = 0.14  # [m] over the hand

_PREVIEW_COLOUR = (0.84, 0.37, 0.0)  # vermilion
_MOST = 4
"""Edits that the text lists."""

Rgb = tuple[float, float, float]

ALARM_COLOUR: Rgb = (1.0, 0.3, 0.2)
"""Of the text while a monitor's alarm stands."""


def path_marker(
    header: Header, points: Iterable[Sequence[float]], colours: Iterable[Rgb]
) -> Marker:
    """Return a line through the points [m] with a colour at each."""
    marker = _marker(header, PATH, Marker.LINE_STRIP, PATH_WIDTH)
    marker.points = [_point(point) for point in points]
    marker.colors = [_rgba(colour) for colour in colours]
    return marker


def preview_marker(header: Header, points: Iterable[Sequence[float]]) -> Marker:
    """Return a ball at each point [m] the next actions would reach."""
    marker = _marker(header, PREVIEW, Marker.SPHERE_LIST, PREVIEW_SIZE)
    marker.scale.y = marker.scale.z = PREVIEW_SIZE
    marker.points = [_point(point) for point in points]
    marker.color = _rgba(_PREVIEW_COLOUR)
    return marker


def text_marker(header: Header, hand: Sequence[float], text: str, colour: Rgb) -> Marker:
    """Return text over the hand (x, y, z) [m]."""
    marker = _marker(header, TEXT, Marker.TEXT_VIEW_FACING, 0.0)
    marker.scale.z = TEXT_HEIGHT
    marker.pose.position = _point((hand[0], hand[1], hand[2] + TEXT_ABOVE))
    marker.color = _rgba(colour)
    marker.text = text
    return marker


def text_colour(value: float) -> Rgb:
    """Return the text's colour, that of the feature's value [observed maxima]; white for NaN."""
    # Dark blue would not be read on RViz's dark ground.
    return colour_of(max(value, 0.5)) if value == value else (1.0, 1.0, 1.0)


def alarm_words(state: MonitorState) -> str:
    """Return a monitor's alarm and what set it off, without its explanation; empty without one."""
    if not state.alarm:
        return ""
    return f"ALARM: {one_line(state.detail.split(' (')[0] or state.score_name)}"


def removed(header: Header) -> list[Marker]:
    """Return what takes every marker of this node off the screen."""
    return [
        Marker(header=header, ns=namespace, action=Marker.DELETE)
        for namespace in (PATH, PREVIEW, TEXT)
    ]


def steering_words(view: StateView) -> str:
    """Return one line per edit, `_MOST` at most; "no steering" without any."""
    lines = [f"INJECTED at {view.injection}"] if view.injection else []
    lines += [_edit_line(edit) for edit in view.edits[:_MOST]]
    if not lines:
        return "no steering"
    if len(view.edits) > _MOST:
        lines.append(f"and {len(view.edits) - _MOST} more")
    return "\n".join((["BYPASSED"] if view.bypass else []) + lines)


def _edit_line(standing: StandingEdit) -> str:
    edit = standing.edit
    value = "" if edit.mode is Mode.PROJECT_OUT else f" {standing.applied:.3g}"
    share = "" if standing.phase is Phase.HOLDING else f", {standing.phase.name.lower()}"
    return (
        f"{edit.site} #{edit.feature} {edit.mode.name.lower()}{value} "
        f"({standing.weight:.0%}{share})"
    )


def _marker(header: Header, namespace: str, kind: int, width: float) -> Marker:
    marker = Marker(header=header, ns=namespace, id=0, type=kind, action=Marker.ADD)
    marker.pose.orientation.w = 1.0
    marker.scale.x = width
    return marker


def _point(point: Sequence[float]) -> Point:
    return Point(x=float(point[0]), y=float(point[1]), z=float(point[2]))


def _rgba(colour: Rgb) -> ColorRGBA:
    return ColorRGBA(r=colour[0], g=colour[1], b=colour[2], a=1.0)
