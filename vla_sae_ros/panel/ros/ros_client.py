"""The panel's side of the wire: what it hears goes into `incoming`, what it wants by `commands`."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node

from vla_sae_ros.msg import (
    EpisodeState,
    FeatureActivations,
    FeatureCatalogue,
    InstructionChange,
    MonitorState,
    RecordingState,
    RobotState,
    SteeringEvent,
    SteeringState,
    TakeoverState,
)
from vla_sae_ros.panel.ros import from_messages
from vla_sae_ros.panel.ros.cameras import Cameras
from vla_sae_ros.panel.ros.commands import Commands
from vla_sae_ros.panel.state.incoming import Incoming
from vla_sae_ros.panel.widgets.guard import guarded
from vla_sae_ros.wire import qos
from vla_sae_ros.wire.person_topics import STATE


class RosClient:
    """Lives on a node that somebody else spins. Every method returns at once, on any thread."""

    def __init__(self, node: Node) -> None:
        """Subscribe, create the service clients and start the heartbeat."""
        self.incoming = Incoming()
        self._node = node
        self._cameras = Cameras(node, self.incoming)
        self._subscribe()
        self.commands = Commands(node, self.incoming)

    @property
    def owner(self) -> str:
        """Name under which this panel's edits stand."""
        return self.commands.owner

    @property
    def policies(self) -> int:
        """Number of publishers of policy/features: more than one is a mistake."""
        return self._node.count_publishers("policy/features")

    def cameras(self) -> list[str]:
        """Return the names of the cameras that somebody publishes, sorted."""
        return self._cameras.names()

    def watch(self, camera: str) -> None:
        """Receive the pictures of a camera, or the heatmap (HEATMAP), until `unwatch`."""
        self._cameras.watch(camera)

    def unwatch(self, camera: str) -> None:
        """Receive no more pictures of a camera."""
        self._cameras.unwatch(camera)

    def close(self) -> None:
        """Take everything off the node."""
        self._cameras.close()
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        self.commands.close()

    def _subscribe(self) -> None:
        wanted: tuple[tuple[type, str, Any, Callable[[Any], None]], ...] = (
            (FeatureCatalogue, "policy/catalogue", qos.LATCHED, self._on_catalogue),
            (FeatureActivations, "policy/features", qos.FEATURES, self._on_features),
            (SteeringState, "steering/state", qos.LATCHED, self._on_steering),
            (SteeringEvent, "steering/events", qos.EVENTS, self._on_event),
            (InstructionChange, "instruction", qos.EVENTS, self._on_instruction),
            (MonitorState, "monitor/state", qos.FEATURES, self._on_monitor),
            (EpisodeState, "episode", qos.LATCHED, self._on_episode),
            (RecordingState, "record/state", qos.LATCHED, self._on_recording),
            (RobotState, "robot_state", qos.LATCHED, self._on_robot),
            (TakeoverState, STATE, qos.LATCHED, self._on_takeover),
            (DiagnosticArray, "/diagnostics", qos.DIAGNOSTICS, self._on_diagnostics),
        )
        self._subscriptions = [
            self._node.create_subscription(kind, name, callback, profile)
            for kind, name, profile, callback in wanted
        ]

    @guarded()
    def _on_catalogue(self, message: FeatureCatalogue) -> None:
        self.incoming.heard()
        self.incoming.catalogues.put("", from_messages.catalogue_view(message))

    @guarded()
    def _on_features(self, message: FeatureActivations) -> None:
        self.incoming.heard(features=True)
        self.incoming.activations.put(from_messages.activations(message))

    @guarded()
    def _on_steering(self, message: SteeringState) -> None:
        self.incoming.heard()
        self.incoming.steering.put(from_messages.steering_view(message))

    @guarded()
    def _on_event(self, message: SteeringEvent) -> None:
        self.incoming.heard()
        self.incoming.events.put(from_messages.event_view(message, time.time()))

    @guarded()
    def _on_instruction(self, message: InstructionChange) -> None:
        self.incoming.events.put(from_messages.instruction_view(message, time.time()))

    @guarded()
    def _on_monitor(self, message: MonitorState) -> None:
        self.incoming.monitors.put(from_messages.monitor_view(message))

    @guarded()
    def _on_episode(self, message: EpisodeState) -> None:
        self.incoming.episodes.put("", from_messages.episode_view(message))

    @guarded()
    def _on_recording(self, message: RecordingState) -> None:
        self.incoming.recordings.put("", from_messages.recording_view(message))

    @guarded()
    def _on_robot(self, message: RobotState) -> None:
        view = from_messages.robot_view(message)
        self.incoming.robots.put("", view)
        self.commands.robot_told(view)

    @guarded()
    def _on_takeover(self, message: TakeoverState) -> None:
        view = from_messages.takeover_view(message)
        self.incoming.takeovers.put("", view)
        self.commands.takeover_told(view)

    @guarded()
    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        # The policy names its status "<node>: inference".
        for status in message.status:
            if status.name.endswith(": inference"):
                self.incoming.heard()
                self.incoming.inactive = next(
                    (each.value for each in status.values if each.key == "lifecycle"), ""
                )
