"""The steering services and topics, beside the policy in its process."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping

import numpy as np
from rclpy.node import Node
from std_srvs.srv import SetBool, Trigger

from vla_sae_ros.core.errors import SteeringRefused
from vla_sae_ros.core.steering import (
    EventKind,
    Snapshot,
    StateView,
    Steering,
    SteeringLimits,
    check_size,
    parse_preset,
    to_edit,
)
from vla_sae_ros.core.steering.condition import Readings
from vla_sae_ros.msg import SteeringEvent, SteeringLease, SteeringState
from vla_sae_ros.srv import ApplyPreset, SetSteering
from vla_sae_ros.wire import qos
from vla_sae_ros.wire.callers import Callers
from vla_sae_ros.wire.steady import steady_timer
from vla_sae_ros.wire.steering_messages import from_event, from_state

LEASE_CHECK_PERIOD = 0.1  # [s]
UNNAMED_OWNER = "service call"  # SetBool and Trigger carry no owner
ASKED_FOR = frozenset(
    {
        EventKind.SET,
        EventKind.REFUSED,
        EventKind.RELEASED,
        EventKind.BYPASS,
        EventKind.RESET,
        EventKind.PRESET,
        EventKind.LIMITS,
        EventKind.INJECTION,
    }
)
"""Events that follow from a request, at once."""


class SteeringService:
    """Offers a `Steering` on the wire.

    Args:
        node: the node whose name and executor it uses.
        steering: the state.
        on_change: called after every accepted change, so that the policy replans.
        bundles: site -> content id of its bundle, which a preset may name.
        policy_start_ns: when the policy began to serve; None = now.
    """

    def __init__(
        self,
        node: Node,
        steering: Steering,
        on_change: Callable[[], None],
        bundles: Mapping[str, str],
        policy_start_ns: int | None = None,
    ) -> None:
        self._node, self._steering, self._on_change = node, steering, on_change
        self._bundles = bundles
        # Tells processes apart, so never a simulation's time.
        self._start_ns = time.time_ns() if policy_start_ns is None else policy_start_ns
        self._state = node.create_publisher(SteeringState, "steering/state", qos.LATCHED)
        self._events = node.create_publisher(SteeringEvent, "steering/events", qos.EVENTS)
        self._services = [
            node.create_service(SetSteering, "steering/set", self._set, qos_profile=qos.SERVICE),
            node.create_service(
                ApplyPreset, "steering/preset", self._preset, qos_profile=qos.SERVICE
            ),
            node.create_service(SetBool, "steering/bypass", self._bypass, qos_profile=qos.SERVICE),
            node.create_service(Trigger, "steering/reset", self._reset, qos_profile=qos.SERVICE),
            node.create_service(SetBool, "steering/inject", self._inject, qos_profile=qos.SERVICE),
        ]
        self._heartbeat = node.create_subscription(
            SteeringLease, "steering/heartbeat", self._renew, qos.HEARTBEAT
        )
        self._timer = steady_timer(node, LEASE_CHECK_PERIOD, self._expire)
        self._callers = Callers(node)
        self._auditing = threading.RLock()  # held from a request to its events
        self._publishing = threading.Lock()
        self._published: StateView | None = None
        self.publish()

    def destroy(self) -> None:
        """Take every service, topic and timer off the node."""
        self._node.destroy_timer(self._timer)
        self._node.destroy_subscription(self._heartbeat)
        for service in self._services:
            self._node.destroy_service(service)
        for publisher in (self._state, self._events):
            self._node.destroy_publisher(publisher)

    def drop_edits(self, reason: str) -> None:
        """Take every edit away, once nothing infers any more, and say so."""
        self._steering.drop(reason)
        self._publish_events()
        self.publish()

    def set_limits(self, limits: SteeringLimits, owner: str) -> None:
        """Hold everything from now on to these limits, and say so."""
        with self._auditing:
            self._steering.set_limits(limits, owner)
            self._changed("~/set_parameters", owner)

    def publish(self) -> None:
        """Publish the state as it is."""
        with self._publishing:
            self._publish(self._steering.view())

    def begin_inference(
        self, observation_time: float, episode_start: float, readings: Readings
    ) -> Snapshot:
        """Return what an inference applies, see `Steering.begin_inference`.

        Publishes the state wherever it differs from the one published last, so that a bag tells
        exactly what every inference applied.
        """
        with self._publishing:
            snapshot = self._steering.begin_inference(observation_time, episode_start, readings)
            assert snapshot.view is not None
            if self._published is None or not self._published.says_the_same(snapshot.view):
                self._publish(snapshot.view)
        return snapshot

    def after_inference(self) -> None:
        """Publish the events of an inference."""
        self._publish_events()

    def _publish(self, view: StateView) -> None:
        self._state.publish(from_state(view, self._start_ns))
        self._published = view

    def _changed(self, service: str = "", owner: str = "") -> None:
        self._on_change()
        self._publish_events(service, owner)
        self.publish()

    def _publish_events(self, service: str = "", owner: str = "") -> None:
        """Publish what has happened; what this owner did was asked for by this service."""
        with self._auditing:  # else the inference's thread takes a request's events as nobody's
            events = self._steering.drain_events()
            header = from_state(self._steering.view()).header
            for event in events:
                asked = service and event.kind in ASKED_FOR and event.owner == owner
                node = self._callers.of(service, owner) if asked else ""
                self._events.publish(from_event(event, header, self._start_ns, node))
                if event.kind is EventKind.REFUSED:
                    self._node.get_logger().warning(
                        f"steering of {event.owner!r} refused: {event.reason}"
                    )

    def _set(
        self, request: SetSteering.Request, response: SetSteering.Response
    ) -> SetSteering.Response:
        def apply() -> int:
            with self._unreadable_logged(request.owner):
                check_size(len(request.edits), "edits", self._steering.limits)
                check_size(len(request.release), "releases", self._steering.limits)
                edits = [to_edit(edit) for edit in request.edits]
            release = [(edit.site, edit.feature) for edit in request.release]
            ramps = [edit.ramp for edit in request.release if edit.ramp != 0.0]
            ramp = float(np.max(ramps)) if ramps else None  # one for all; NaN stays NaN, is refused
            return self._steering.set(edits, request.owner, release, request.lease, ramp)

        return self._answer(apply, response, "steering/set", request.owner)

    def _preset(
        self, request: ApplyPreset.Request, response: ApplyPreset.Response
    ) -> ApplyPreset.Response:
        def apply() -> int:
            with self._unreadable_logged(request.owner):
                preset = parse_preset(request.preset)
                check_size(len(preset.edits), "edits", self._steering.limits)
                preset.check_fits(self._bundles)
            return self._steering.apply_preset(
                preset.edits, preset.name, request.owner, request.lease
            )

        return self._answer(apply, response, "steering/preset", request.owner)

    @contextlib.contextmanager
    def _unreadable_logged(self, owner: str) -> Iterator[None]:
        """Write what the steering never gets to see to the audit trail as well."""
        try:
            yield
        except SteeringRefused as refusal:
            self._steering.record_refusal(owner, str(refusal))
            raise

    def _answer(
        self, apply: Callable[[], int], response: SetSteering.Response, service: str, owner: str
    ) -> SetSteering.Response:
        with self._auditing:
            try:
                response.revision = apply()
                response.accepted = True
            except SteeringRefused as refusal:
                response.reason = str(refusal)
                response.revision = self._steering.revision
                self._publish_events(service, owner)
                return response
            self._changed(service, owner)
        return response

    def _bypass(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        with self._auditing:
            revision = self._steering.set_bypass(request.data, UNNAMED_OWNER)
            self._changed("steering/bypass", UNNAMED_OWNER)
        response.success, response.message = True, f"revision {revision}"
        return response

    def _reset(self, _request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        with self._auditing:
            revision = self._steering.reset(UNNAMED_OWNER)
            self._changed("steering/reset", UNNAMED_OWNER)
        response.success, response.message = True, f"revision {revision}"
        return response

    def _inject(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        with self._auditing:
            try:
                revision = self._steering.set_injection(request.data, UNNAMED_OWNER)
            except SteeringRefused as refusal:
                response.message = str(refusal)
                self._publish_events("steering/inject", UNNAMED_OWNER)
                return response
            self._changed("steering/inject", UNNAMED_OWNER)
        response.success, response.message = True, f"revision {revision}"
        return response

    def _renew(self, message: SteeringLease) -> None:
        try:
            self._steering.heartbeat(message.owner, message.duration)
        except SteeringRefused as refusal:
            self._node.get_logger().warning(f"heartbeat refused: {refusal}")

    def _expire(self) -> None:
        if self._steering.expire_leases():
            self._changed()
