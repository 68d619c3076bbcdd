"""Draws messages into one Rerun recording; what a topic becomes is said here."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import rerun as rr

from vla_sae_ros.bags.drafts import steering_note
from vla_sae_ros.bags.episode_trace import Picture
from vla_sae_ros.bags.pictures import COMPRESSED, HEATMAP, PICTURES, picture_of
from vla_sae_ros.core.one_line import one_line
from vla_sae_ros.study.bag_commands.edits import acting_edits
from vla_sae_ros.study.rerun.features import FeatureSeries, ShownFeatures
from vla_sae_ros.study.rerun.lanes import Lanes
from vla_sae_ros.study.rerun.moments import Moment
from vla_sae_ros.study.rerun.names import FeatureNames
from vla_sae_ros.study.rerun.robot import RobotSeries

CAMERA, HEAT = "camera", "heatmap"
EVENTS = "events"

TOPICS = (
    "episode",
    "executed_action",
    "policy/features",
    "policy/catalogue",
    "steering/state",
    "steering/events",
    "annotation",
    "ee_pose",
    "gripper",
    "joint_states",
)
"""What is drawn beside the pictures."""

_PNG = b"\x89PNG"
_WARNINGS = ("REFUSED", "CAPPED", "LEASE_EXPIRED")


class Scene:
    """One recording, of one episode or of what lies outside every episode."""

    def __init__(
        self, stream: rr.RecordingStream, names: FeatureNames, shown: ShownFeatures
    ) -> None:
        """Draw into `stream`; the names are filled by whoever hears the catalogue."""
        self.stream = stream
        for timeline in ("log_time", "log_tick"):  # of the drawing, not of what is drawn
            stream.disable_timeline(timeline)
        self._features = FeatureSeries(stream, names, shown)
        self._lanes = Lanes(stream)
        self._robot = RobotSeries(stream)
        self._steered = False
        self._draw: dict[str, Callable[[Any], None]] = {
            "episode": self._lanes.episode,
            "executed_action": self._executed,
            "policy/features": self._features.draw,
            "policy/catalogue": lambda _: self._features.relabel(),
            "steering/state": self._steering,
            "steering/events": self._event,
            "annotation": self._remark,
            "ee_pose": lambda message: self._robot.pose(message, self._steered),
            "gripper": lambda message: self._robot.joints("gripper", message),
            "joint_states": lambda message: self._robot.joints("joint_states", message),
        }

    def draw(self, name: str, message: Any, moment: Moment) -> None:
        """Draw a message of a topic, named relative to its system.

        Raises RecordingError for a picture that cannot be read.
        """
        moment.set_on(self.stream)
        if name.startswith(PICTURES):
            self._picture([CAMERA, *picture_name(name).split("/")], name, message)
        elif name == HEATMAP:
            self._picture([HEAT, "recorded"], name, message)
        else:
            self._draw[name](message)

    def heatmap(self, name: str, picture: Picture, moment: Moment) -> None:
        """Draw a heatmap (H, W, 3) RGB that was computed afterwards."""
        moment.set_on(self.stream)
        self.stream.log([HEAT, name], rr.Image(picture))

    def close(self) -> None:
        """Write what is still on its way."""
        self.stream.flush()
        self.stream.disconnect()

    def _picture(self, path: list[object], name: str, message: Any) -> None:
        picture = picture_of(message, name)  # raises for one that no viewer could show
        if hasattr(message, "format"):
            data = message.data.tobytes()
            kind = "image/png" if data.startswith(_PNG) else "image/jpeg"
            self.stream.log(path, rr.EncodedImage(contents=data, media_type=kind))
        else:
            self.stream.log(path, rr.Image(picture))

    def _executed(self, message: Any) -> None:
        self._lanes.commander(message)
        self._robot.action(message)

    def _steering(self, message: Any) -> None:
        self._steered = not message.bypass and any(acting_edits(message))
        self._lanes.steering(message)

    def _event(self, message: Any) -> None:
        note = steering_note(message, -1, 0.0)
        # A cap concerns a site, not one of its features.
        feature = "" if note.kind == "CAPPED" else f" #{note.feature}"
        what = f"{note.site}{feature}" if note.site else ""
        ends = note.from_value, note.to_value
        told = note.site and not all(map(math.isnan, ends))
        values = " to ".join(map(_value, ends)) if told else ""
        parts = (note.kind, what, values, f"by {note.owner}" if note.owner else "", note.reason)
        level = rr.TextLogLevel.WARN if note.kind in _WARNINGS else rr.TextLogLevel.INFO
        text = one_line(" ".join(part for part in parts if part))
        self.stream.log([EVENTS, "steering"], rr.TextLog(text, level=level))

    def _remark(self, message: Any) -> None:
        text = one_line(f"{message.author}: {message.text}")
        self.stream.log([EVENTS, "remarks"], rr.TextLog(text, level=rr.TextLogLevel.INFO))


def picture_name(topic: str) -> str:
    """Return the camera that a topic, relative to its system, shows; empty if it shows none."""
    if not topic.startswith(PICTURES):
        return ""
    return topic.removeprefix(PICTURES).removesuffix(COMPRESSED)


def _value(value: float) -> str:
    return "natural" if math.isnan(value) else f"{value:.3g}"
