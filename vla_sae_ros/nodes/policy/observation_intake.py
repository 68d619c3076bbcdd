"""Observations and requests as they arrive, until a frame is complete."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from rclpy.node import Node
from rclpy.subscription import Subscription

from vla_sae_ros.core.alignment import FrameIncomplete
from vla_sae_ros.core.contract import Channel, Contract, FrameBuilder
from vla_sae_ros.core.episode_status import EpisodeStatus
from vla_sae_ros.core.errors import ObservationError
from vla_sae_ros.msg import ChunkRequest, EpisodeState
from vla_sae_ros.nodes.base.contract_channels import message_class, qos_profile
from vla_sae_ros.nodes.policy.inference_worker import Job
from vla_sae_ros.wire import qos
from vla_sae_ros.wire.conversions import to_ns


@dataclass
class IntakeReport:
    """What is wrong with the observations, for people.

    Attributes:
        waiting_for: why the pending request has no frame yet; empty when none waits.
        refused: messages that could not be used.
        last_refusal: why the last of them could not.
    """

    waiting_for: str = ""
    refused: int = 0
    last_refusal: str = ""


class ObservationIntake:
    """Subscribes to the contract's topics and to requests; turns a complete request into a job.

    Args:
        node: whose subscriptions these are.
        contract: topics, alignment and operators.
        on_job: called with every job, on the executor's thread.
    """

    def __init__(self, node: Node, contract: Contract, on_job: Callable[[Job], None]) -> None:
        self._node, self._on_job = node, on_job
        self._builder = FrameBuilder(contract)
        self._pending: ChunkRequest | None = None
        self._waiting_since: float | None = None
        self._last_job: Job | None = None
        self._asking = ""  # episode of the newest request
        self._ended: str | None = None  # episode that ended last
        self.report = IntakeReport()
        self._subscriptions = [self._subscribe(channel) for channel in self._builder.channels]
        self._subscriptions.append(
            node.create_subscription(ChunkRequest, "policy/request", self._requested, qos.CHUNK)
        )
        self._subscriptions.append(
            node.create_subscription(EpisodeState, "episode", self._episode_changed, qos.LATCHED)
        )

    def destroy(self) -> None:
        """Take every subscription off the node."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)

    @property
    def waited(self) -> float:
        """How long [s] requests have waited for a frame; 0 when none waits.

        A bridge asks again with a newer observation; that does not end the waiting, a frame does,
        or the end of the episode.
        """
        return 0.0 if self._waiting_since is None else time.monotonic() - self._waiting_since

    def newest_job(self) -> Job | None:
        """Return the newest requested observation again, for a replan; None before the first.

        A newer picture without a request would do as well, but its place among the executed control
        ticks is known only by guessing, and a chunk entered at a guessed tick makes an arm jump.
        """
        return self._last_job

    def _subscribe(self, channel: Channel) -> Subscription:
        return self._node.create_subscription(
            message_class(channel),
            channel.topic,
            partial(self._observed, channel.topic),
            qos_profile(channel.qos),
        )

    def _observed(self, topic: str, message: object) -> None:
        try:
            self._builder.push(topic, message, self._now())
        except ObservationError as error:
            self._refuse(f"{topic}: {error}")
            return
        self._try_pending()

    def _requested(self, request: ChunkRequest) -> None:
        self._pending, self._asking = request, request.episode_id
        # The end of an episode may overtake its last request, for which nobody waits any more.
        if self._waiting_since is None and request.episode_id != self._ended:
            self._waiting_since = time.monotonic()
        self._try_pending()

    def _episode_changed(self, state: EpisodeState) -> None:
        status = EpisodeStatus(state.status)
        idle = status is EpisodeStatus.IDLE
        if not (idle or status.ended):
            return
        self._ended = state.episode_id or None
        if state.episode_id == self._asking or idle:
            self._pending = self._waiting_since = None
            self.report.waiting_for = ""

    def _try_pending(self) -> None:
        request = self._pending
        if request is None:
            return
        try:
            frame = self._builder.frame(to_ns(request.header.stamp))
        except FrameIncomplete as error:
            self.report.waiting_for = str(error)
            return
        except ObservationError as error:
            self._pending = None
            self.report.waiting_for = str(error)
            self._refuse(str(error))
            return
        self._pending = self._waiting_since = None
        self.report.waiting_for = ""
        self._last_job = _to_job(request, frame.values)
        self._on_job(self._last_job)

    def _refuse(self, reason: str) -> None:
        self.report.refused += 1
        self.report.last_refusal = reason
        self._node.get_logger().warning(f"observation refused: {reason}", throttle_duration_sec=2.0)

    def _now(self) -> int:
        return self._node.get_clock().now().nanoseconds


def _to_job(request: ChunkRequest, frame: dict) -> Job:
    return Job(
        frame,
        request.instruction,
        request.episode_id,
        to_ns(request.header.stamp),
        to_ns(request.start),
        request.seed,
        request.step,
        instruction_revision=request.instruction_revision,
    )
