"""Markers of the hand's path, the next actions and the steering, for RViz and Foxglove."""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np
from geometry_msgs.msg import PoseStamped
from rclpy.node import Node
from visualization_msgs.msg import MarkerArray

from vla_sae_ros.core.catalogue import confirmed_name, shown_name
from vla_sae_ros.core.errors import SteeringRefused
from vla_sae_ros.core.steering import StateView, to_view
from vla_sae_ros.msg import (
    ActionChunk,
    EpisodeState,
    FeatureActivations,
    FeatureCatalogue,
    MonitorState,
    SteeringState,
)
from vla_sae_ros.nodes.base.parameters import declare_parameters
from vla_sae_ros.nodes.base.running import run_node
from vla_sae_ros.nodes.markers.hand_path import HandPath, previewed
from vla_sae_ros.nodes.markers.messages import (
    ALARM_COLOUR,
    Rgb,
    alarm_words,
    path_marker,
    preview_marker,
    removed,
    steering_words,
    text_colour,
    text_marker,
)
from vla_sae_ros.nodes.markers.parameters import MarkersParameters
from vla_sae_ros.wire import qos
from vla_sae_ros.wire.conversions import to_ns

_POSES_KEPT = 200


class MarkersNode(Node):
    """Draws in the frame of `ee_pose`, so that no TF is needed."""

    def __init__(self, **node_arguments: Any) -> None:
        super().__init__("markers", **node_arguments)
        self._values = declare_parameters(self, MarkersParameters, self._changed)
        self._path = HandPath(self._values.path_length)
        self._poses: dict[int, PoseStamped] = {}
        self._chunk: ActionChunk | None = None
        self._view = StateView(0, False, math.inf, math.inf, 0.0, ())
        self._edited: tuple[str, int] | None = None
        self._observed_max: dict[tuple[str, int], float] = {}
        self._labels: dict[tuple[str, int], str] = {}
        self._newest: dict[str, FeatureActivations] = {}
        self._episode_id, self._over, self._alarm = "", "", ""
        self._publisher = self.create_publisher(MarkerArray, "markers", qos.LATCHED)
        for kind, topic, profile, take in (
            (PoseStamped, "ee_pose", qos.SENSOR, self._moved),
            (FeatureActivations, "policy/features", qos.FEATURES, self._felt),
            (ActionChunk, "policy/action_chunk", qos.CHUNK, self._planned),
            (FeatureCatalogue, "policy/catalogue", qos.LATCHED, self._described),
            (SteeringState, "steering/state", qos.LATCHED, self._steered),
            (MonitorState, "monitor/state", qos.FEATURES, self._judged),
            (EpisodeState, "episode", qos.LATCHED, self._episode),
        ):
            self.create_subscription(kind, topic, take, profile)

    def _changed(self, values: MarkersParameters) -> None:
        self._values = values

    def _moved(self, message: PoseStamped) -> None:
        self._poses[to_ns(message.header.stamp)] = message
        while len(self._poses) > _POSES_KEPT:
            del self._poses[next(iter(self._poses))]
        self._path.add(_xyz(message), self._value())
        self._publish(message)

    def _felt(self, message: FeatureActivations) -> None:
        if not len(message.index) == len(message.applied) == len(message.natural):
            self.get_logger().warning(
                f"features of {message.site!r} are not drawn: {len(message.index)} ids, "
                f"{len(message.natural)} and {len(message.applied)} values",
                throttle_duration_sec=2.0,
            )
            return
        self._newest[message.site] = message
        chosen = self._chosen()
        if chosen is not None and chosen[0] == message.site:
            self._redraw()

    def _planned(self, message: ActionChunk) -> None:
        fits = len(message.actions) == message.horizon * message.action_dim > 0
        if not fits or message.action_dim < 3:
            self.get_logger().warning(
                f"chunk {message.chunk_id} is not drawn: {len(message.actions)} numbers for "
                f"{message.horizon} x {message.action_dim} actions",
                throttle_duration_sec=2.0,
            )
            return
        self._chunk = message
        self._redraw()

    def _described(self, message: FeatureCatalogue) -> None:
        for info in message.features:
            self._observed_max[info.site, info.feature] = info.observed_max
            name = shown_name(info.label, info.label_source, confirmed_name(info.tests))
            self._labels[info.site, info.feature] = name

    def _steered(self, message: SteeringState) -> None:
        try:
            self._view = to_view(message)
        except SteeringRefused as error:
            self.get_logger().warning(
                f"steering state not drawn: {error}", throttle_duration_sec=2.0
            )
            return
        if self._view.edits:
            self._edited = self._view.edits[-1].edit.key
        self._redraw()

    def _judged(self, message: MonitorState) -> None:
        if message.episode_id == self._over and self._over:
            return  # of the episode before: its last inference, scored late
        before, self._alarm = self._alarm, alarm_words(message)
        if self._alarm != before:
            self._redraw()

    def _episode(self, message: EpisodeState) -> None:
        if message.episode_id == self._episode_id:
            return
        self._over, self._episode_id, self._alarm = self._episode_id, message.episode_id, ""
        self._path.clear()
        self._poses.clear()
        self._chunk = None
        self._newest.clear()
        self._publisher.publish(MarkerArray(markers=removed(message.header)))

    def _chosen(self) -> tuple[str, int] | None:
        site, feature = self._values.site, self._values.feature
        if feature < 0:
            return self._edited
        return site or (self._edited[0] if self._edited else next(iter(self._newest), "")), feature

    def _value(self) -> float:
        """Return the chosen feature's newest value [observed maxima]; NaN when not known."""
        chosen = self._chosen()
        message = self._newest.get(chosen[0]) if chosen else None
        if chosen is None or message is None:
            return math.nan
        largest = self._observed_max.get(chosen, 0.0)
        found = np.flatnonzero(np.asarray(message.index) == chosen[1])
        return float(message.applied[found[0]]) / (largest or 1.0) if len(found) else 0.0

    def _redraw(self) -> None:
        if self._poses:
            self._publish(next(reversed(self._poses.values())))

    def _publish(self, pose: PoseStamped) -> None:
        value = self._value()
        markers = [
            path_marker(pose.header, self._path.points, self._path.colours()),
            text_marker(pose.header, _xyz(pose), self._words(value), self._colour(value)),
        ]
        start = self._poses.get(to_ns(self._chunk.header.stamp)) if self._chunk else None
        if self._chunk is not None and start is not None:
            actions = np.array(self._chunk.actions).reshape(self._chunk.horizon, -1)
            scale = self._values.metres_per_action
            markers.append(preview_marker(pose.header, previewed(_xyz(start), actions, scale)))
        self._publisher.publish(MarkerArray(markers=markers))

    def _colour(self, value: float) -> Rgb:
        return ALARM_COLOUR if self._alarm else text_colour(value)

    def _words(self, value: float) -> str:
        lines = [self._alarm, self._feature_words(value), steering_words(self._view)]
        return "\n".join(filter(None, lines))

    def _feature_words(self, value: float) -> str:
        chosen = self._chosen()
        if chosen is None:
            return ""
        name = f"{chosen[0]} #{chosen[1]} {self._labels.get(chosen, '')}".rstrip()
        shown = "-" if math.isnan(value) else f"{value:.2f} x max"
        return f"{name} = {shown}"


def _xyz(pose: PoseStamped) -> tuple[float, float, float]:
    point = pose.pose.position
    return point.x, point.y, point.z


def main(args: list[str] | None = None) -> int:
    """Run the markers node until SIGINT or SIGTERM."""
    return run_node(MarkersNode, args)


if __name__ == "__main__":
    sys.exit(main())
