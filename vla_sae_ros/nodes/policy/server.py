"""A configured policy at work: requests in, chunks, features and steering out."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.node import Node

from vla_sae_ros.core.contract import Contract
from vla_sae_ros.core.errors import ConfigurationError, VlaSaeError
from vla_sae_ros.core.steering import Steering, SteeringLimits
from vla_sae_ros.msg import ActionChunk, EpisodeState, ExecutedAction, FeatureActivations
from vla_sae_ros.nodes.base.told_pictures import ToldPictures
from vla_sae_ros.nodes.policy.catalogue_service import CatalogueService
from vla_sae_ros.nodes.policy.continuing import Continuing
from vla_sae_ros.nodes.policy.heatmap_publisher import HeatmapPublisher
from vla_sae_ros.nodes.policy.inference_worker import InferenceWorker, Job, infer_with
from vla_sae_ros.nodes.policy.messages import to_chunk, to_features
from vla_sae_ros.nodes.policy.observation_intake import ObservationIntake
from vla_sae_ros.nodes.policy.steering_service import SteeringService
from vla_sae_ros.policy.inference import ContinuingEngine, Engine, Inference
from vla_sae_ros.sim.conventions import known_readings, observation_readings
from vla_sae_ros.wire import qos
from vla_sae_ros.wire.conversions import to_header
from vla_sae_ros.wire.guarded_executor import NodeFailed
from vla_sae_ros.wire.steady import steady_timer

if TYPE_CHECKING:
    from vla_sae_ros.nodes.policy.activation_collector import ActivationCollector
    from vla_sae_ros.nodes.policy.injected_stream import InjectedStream

WATCH_PERIOD = 0.25  # [s]
TIMINGS_KEPT = 200


@dataclass(frozen=True)
class ServingOptions:
    """What the node's parameters say about serving.

    Attributes:
        frame_timeout: [s] after which a request without its observation is reported.
        bundle_folders: of the engine's bundles, in their order.
        heatmap: site and feature whose heatmap is published at first.
        publish_pooled: publish the mean residual streams, too.
        rtc: every chunk continues the one before; the engine is one that can.
    """

    frame_timeout: float
    bundle_folders: tuple[Path, ...] = ()
    heatmap: tuple[str, int] | None = None
    publish_pooled: bool = False
    rtc: bool = False


class PolicyServer:
    """Serves one engine until `destroy`.

    Args:
        node: whose topics and services these are.
        engine: warmed up.
        steering: over the engine's sites.
        contract: topics to policy features.
        pictures: refuses those of another render quality; the server takes it off the node.
        options: see there.
        collector: writes activations, when they are to be collected.
        injected: infers with another episode's stream, when one is to be injected.
    """

    def __init__(
        self,
        node: Node,
        engine: Engine,
        steering: Steering,
        contract: Contract,
        pictures: ToldPictures,
        options: ServingOptions,
        collector: ActivationCollector | None = None,
        injected: InjectedStream | None = None,
    ) -> None:
        self._node, self._engine, self._steering = node, engine, steering
        self._collector, self._injected = collector, injected
        self._control_rate, self._frame_timeout = contract.fps, options.frame_timeout
        self._with_pooled = options.publish_pooled
        self._chunk_id = 0
        self._start_ns = time.time_ns()  # tells processes apart, so never a simulation's time
        self._timings: deque[float] = deque(maxlen=TIMINGS_KEPT)
        self._refused = 0
        self._unlisted = 0
        self._chunks = node.create_publisher(ActionChunk, "policy/action_chunk", qos.CHUNK)
        self._features = node.create_publisher(FeatureActivations, "policy/features", qos.FEATURES)
        self._catalogue = CatalogueService(node, engine, options.bundle_folders)
        self._heatmap = HeatmapPublisher(node, engine, options.heatmap)
        self._diagnostics = node.create_publisher(DiagnosticArray, "/diagnostics", qos.DIAGNOSTICS)
        bundles = {bundle.card.site: bundle.bundle_id for bundle in engine.bundles}
        self._service = SteeringService(node, steering, self._replan, bundles, self._start_ns)
        self._subscriptions = [
            node.create_subscription(EpisodeState, "episode", part.episode_changed, qos.LATCHED)
            for part in (collector, injected)
            if part is not None
        ]
        infer = infer_with(engine) if injected is None else injected.infer
        self._continuing = (
            Continuing(cast(ContinuingEngine, engine), self._start_ns) if options.rtc else None
        )
        if self._continuing is not None:
            infer = self._continuing.infer
            self._subscriptions.append(
                node.create_subscription(
                    ExecutedAction, "executed_action", self._continuing.executed, qos.EXECUTED
                )
            )
        kinds = known_readings(contract)
        self._worker = InferenceWorker(
            infer,
            steering,
            self._service.begin_inference,
            self._hand_over,
            self._done,
            self._refuse,
            lambda job: observation_readings(job.frame, job.step, kinds),
        )
        self._pictures = pictures
        self._intake = ObservationIntake(node, contract, self._submit)
        self._watch = steady_timer(node, WATCH_PERIOD, self._look)
        self._status = steady_timer(node, 1.0, self._diagnose)

    def destroy(self) -> None:
        """Stop inferring and take everything off the node."""
        self._node.destroy_timer(self._watch)
        self._node.destroy_timer(self._status)
        self._intake.destroy()
        self._pictures.destroy()
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        self._worker.stop()
        self._service.drop_edits("the policy does not serve any more")
        for part in (self._service, self._catalogue, self._heatmap):
            part.destroy()
        for publisher in (self._chunks, self._features, self._diagnostics):
            self._node.destroy_publisher(publisher)

    def set_limits(self, limits: SteeringLimits) -> None:
        """Steer within these limits from now on."""
        self._service.set_limits(limits, "parameter")

    def _replan(self) -> None:
        newest = self._intake.newest_job()
        if newest is not None:
            self._submit(replace(newest, replan=True))

    def _submit(self, job: Job) -> None:
        try:
            self._pictures.check()
            if self._injected is not None:
                self._injected.check(job)
        except ConfigurationError as refusal:
            self._refuse(job, refusal)
            return
        self._worker.submit(job)

    def _hand_over(self, job: Job, inference: Inference) -> None:
        """Publish the chunk, on the worker's thread."""
        self._chunk_id += 1
        if self._continuing is not None:  # before anybody can have executed it
            self._continuing.published(job, inference, self._chunk_id)
        self._chunks.publish(
            to_chunk(job, inference, self._chunk_id, self._control_rate, self._start_ns)
        )
        self._timings.append(inference.milliseconds)

    def _done(self, job: Job, inference: Inference) -> None:
        """Publish what was read out, on the worker's thread."""
        for site in inference.sites:
            self._features.publish(
                to_features(job, inference, site, self._chunk_id, self._start_ns, self._with_pooled)
            )
            self._unlisted += site.unlisted
        self._heatmap.publish(job, inference)
        if self._collector is not None:
            self._collector.add(job, inference)
        self._service.after_inference()

    def _refuse(self, job: Job, error: VlaSaeError) -> None:
        self._refused += 1
        self._node.get_logger().error(f"no chunk for step {job.step} of {job.episode_id}: {error}")

    def _look(self) -> None:
        if self._worker.failure is not None:
            # Ends the process: a policy node without a policy must not look alive.
            raise NodeFailed("the inference thread died") from self._worker.failure
        if self._intake.waited > self._frame_timeout:
            self._node.get_logger().warning(
                f"holding: {self._intake.report.waiting_for}", throttle_duration_sec=2.0
            )

    def _diagnose(self) -> None:
        level, message = self._state()
        report = self._intake.report
        timings = np.array(self._timings) if self._timings else np.array([np.nan])
        values = {
            "inferences": self._chunk_id,
            "inference p50 [ms]": f"{np.percentile(timings, 50):.1f}",
            "inference p99 [ms]": f"{np.percentile(timings, 99):.1f}",
            "superseded requests": self._worker.superseded,
            "active features left out of the lists": self._unlisted,
            "refused observations": self._refused + report.refused,
            "last refusal": report.last_refusal,
            "steering revision": self._steering.revision,
        }
        if self._collector is not None:
            values["activations later than their episode"] = self._collector.late
            values["activations not written"] = self._collector.lost
            values["why activations are not written"] = self._collector.failure
        if self._continuing is not None:
            values["chunks continued"] = self._continuing.continued
            values["expected delay [ticks]"] = self._continuing.delay
        status = DiagnosticStatus(
            level=level,
            name=f"{self._node.get_name()}: inference",
            hardware_id=self._engine.policy_name,
            message=message,
            values=[KeyValue(key=key, value=str(value)) for key, value in values.items()],
        )
        self._diagnostics.publish(DiagnosticArray(header=to_header(self._now()), status=[status]))

    def _state(self) -> tuple[bytes, str]:
        if self._intake.waited > self._frame_timeout:
            return DiagnosticStatus.ERROR, self._intake.report.waiting_for
        view = self._steering.view()
        if view.bypass:
            return DiagnosticStatus.WARN, "serving; steering is bypassed"
        if view.injection:
            said = f"serving; another episode's stream is injected at {view.injection}"
            return DiagnosticStatus.WARN, said
        return DiagnosticStatus.OK, "serving" if self._chunk_id else "waiting for the first request"

    def _now(self) -> int:
        return self._node.get_clock().now().nanoseconds
