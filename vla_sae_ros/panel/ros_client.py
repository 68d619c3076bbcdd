"""The panel's side of the wire: subscriptions into mailboxes, requests without waiting."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node
from std_srvs.srv import SetBool, Trigger

from vla_sae_ros.msg import (
    EpisodeState,
    FeatureActivations,
    FeatureCatalogue,
    SteeringEdit,
    SteeringLease,
    SteeringState,
)
from vla_sae_ros.nodes import qos
from vla_sae_ros.panel import from_messages
from vla_sae_ros.panel.guard import guarded
from vla_sae_ros.panel.mailbox import Inbox, Mailbox
from vla_sae_ros.panel.requests import Requests
from vla_sae_ros.panel.values import (
    Activations,
    CatalogueView,
    EpisodeView,
    FeatureName,
    Outcome,
    SteeringView,
)
from vla_sae_ros.srv import SetSteering

LEASE = 2.0  # [s] for which one heartbeat keeps this panel's edits
_BEAT_PERIOD = 0.5  # [s]
_GUI_LIMIT = 1.0  # [s] a GUI silent for longer is frozen: its heartbeat stops, its edits end


class RosClient:
    """Talks on a node that somebody else spins. Every method returns at once, on any thread."""

    def __init__(self, node: Node) -> None:
        """Subscribe, create the service clients and start the heartbeat."""
        self.owner = f"panel_{os.getpid()}_{id(self) & 0xFFFF:04x}"
        self.catalogues: Mailbox[str, CatalogueView] = Mailbox()
        self.activations: Mailbox[str, Activations] = Mailbox()
        self.steering: Mailbox[str, SteeringView] = Mailbox()
        self.episodes: Mailbox[str, EpisodeView] = Mailbox()
        self.outcomes: Inbox[Outcome] = Inbox()
        self.last_heard: float | None = None  # monotonic [s], of anything the policy says
        self.feature_messages = 0
        self._gui_seen = time.monotonic()
        self._requests = Requests(self.outcomes)
        self._node = node
        self._subscribe()
        self._set = node.create_client(SetSteering, "steering/set")
        self._bypass = node.create_client(SetBool, "steering/bypass")
        self._reset = node.create_client(Trigger, "steering/reset")
        self._lease = node.create_publisher(SteeringLease, "steering/heartbeat", qos.HEARTBEAT)
        self._timer = node.create_timer(_BEAT_PERIOD, self._beat)

    def gui_alive(self) -> None:
        """Say that the GUI still runs; without it the heartbeat stops."""
        self._gui_seen = time.monotonic()

    def set_edits(self, values: Sequence[tuple[FeatureName, float]]) -> bool:
        """Clamp features to multiples of their observed maximum; False if nobody listens."""
        edits = [
            SteeringEdit(site=site, feature=feature, mode=SteeringEdit.CLAMP,
                         unit=SteeringEdit.OBSERVED_MAX, value=float(value))
            for (site, feature), value in values
        ]
        return self._request_set(SetSteering.Request(edits=edits, owner=self.owner, lease=LEASE))

    def release(self, names: Sequence[FeatureName]) -> bool:
        """Ramp features back to natural; False if nobody listens."""
        edits = [SteeringEdit(site=site, feature=feature) for site, feature in names]
        return self._request_set(SetSteering.Request(release=edits, owner=self.owner, lease=LEASE))

    def set_bypass(self, bypass: bool) -> bool:
        """Switch all edits off or on again; False if nobody listens."""
        words = "bypass on" if bypass else "bypass off"
        return self._requests.send(self._bypass, SetBool.Request(data=bypass), words,
                                   lambda answer: (answer.success, answer.message))

    def reset(self) -> bool:
        """Release every edit of every owner; False if nobody listens."""
        return self._requests.send(self._reset, Trigger.Request(), "release all",
                                   lambda answer: (answer.success, answer.message))

    @property
    def busy(self) -> bool:
        """A request waits for its answer."""
        return self._requests.waiting > 0

    def close(self) -> None:
        """Take everything off the node."""
        self._node.destroy_timer(self._timer)
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        for client in (self._set, self._bypass, self._reset):
            self._node.destroy_client(client)
        self._node.destroy_publisher(self._lease)

    def _subscribe(self) -> None:
        wanted = (
            (FeatureCatalogue, "policy/catalogue", qos.LATCHED, self._on_catalogue),
            (FeatureActivations, "policy/features", qos.FEATURES, self._on_features),
            (SteeringState, "steering/state", qos.LATCHED, self._on_steering),
            (EpisodeState, "episode", qos.LATCHED, self._on_episode),
            (DiagnosticArray, "/diagnostics", qos.DIAGNOSTICS, self._on_diagnostics),
        )
        self._subscriptions = [self._node.create_subscription(kind, name, callback, profile)
                               for kind, name, profile, callback in wanted]

    @guarded()
    def _on_catalogue(self, message: FeatureCatalogue) -> None:
        self._heard()
        self.catalogues.put("", from_messages.catalogue_view(message))

    @guarded()
    def _on_features(self, message: FeatureActivations) -> None:
        self._heard()
        self.feature_messages += 1
        self.activations.put(message.site, from_messages.activations(message))

    @guarded()
    def _on_steering(self, message: SteeringState) -> None:
        self._heard()
        self.steering.put("", from_messages.steering_view(message))

    @guarded()
    def _on_episode(self, message: EpisodeState) -> None:
        self.episodes.put("", from_messages.episode_view(message))

    @guarded()
    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        # The policy names its status "<node>: inference".
        if any(status.name.endswith(": inference") for status in message.status):
            self._heard()

    def _heard(self) -> None:
        self.last_heard = time.monotonic()

    @guarded()
    def _beat(self) -> None:
        self._requests.give_up_late_ones()
        if time.monotonic() - self._gui_seen > _GUI_LIMIT:
            return
        message = SteeringLease(owner=self.owner, duration=LEASE)
        message.header.stamp = self._node.get_clock().now().to_msg()
        self._lease.publish(message)

    def _request_set(self, request: SetSteering.Request) -> bool:
        return self._requests.send(self._set, request, "steering",
                                   lambda answer: (answer.accepted, answer.reason))
