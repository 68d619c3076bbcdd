"""The recorder: bags of everything a run says, started and stopped by service."""

from __future__ import annotations

import sys
import time
from datetime import datetime
from functools import partial
from pathlib import Path

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup, ReentrantCallbackGroup
from rclpy.exceptions import InvalidTopicNameException
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.subscription import Subscription
from rclpy.task import Future
from rclpy.validate_topic_name import validate_topic_name
from std_srvs.srv import Trigger

from vla_sae_ros.core.errors import RecordingError, complaint
from vla_sae_ros.nodes import qos
from vla_sae_ros.nodes.bag_writer import BagWriter
from vla_sae_ros.nodes.message_definitions import definition_of, message_class
from vla_sae_ros.nodes.parameters import Parameter, declare_parameters
from vla_sae_ros.nodes.recorded_topics import (
    CONTRACT_TOPICS,
    PICTURE_PREFIX,
    PICTURE_TYPES,
    bag_profile,
    subscription_profile,
    wait_for_publisher,
)
from vla_sae_ros.nodes.recording import Recording, RecordingLimits, RecordingPhase, RecordingStatus
from vla_sae_ros.nodes.running import run_node
from vla_sae_ros.srv import StartRecording

PARAMETERS = (
    Parameter("output_folder", "bags", "folder in which bags without a full path are made"),
    Parameter("record_on_start", False, "start recording at once, under a dated name"),
    Parameter("record_images", False, "with record_on_start: also record the camera pictures"),
    Parameter("min_free_disk", 500, "a recording stops rather than leave less than this free",
              unit="MB", minimum=0, maximum=10**9),
    Parameter("max_queue", 256, "messages waiting for the disk; more are dropped and counted",
              unit="MB", minimum=1, maximum=10**6),
)

_WATCH_PERIOD = 0.5  # [s] between looks for new publishers and for a failed writer
_SETTLE = 0.3  # [s] after record/stop in which messages already under way arrive


class RecorderNode(Node):
    """Serves record/start and record/stop; subscribes only while a recording runs."""

    def __init__(self) -> None:
        """Declare parameters, offer the services, start a first recording if asked to."""
        super().__init__("recorder")
        self._values = declare_parameters(self, PARAMETERS)
        self._recording: Recording | None = None
        self._last: RecordingStatus | None = None
        self._subscriptions_made: dict[str, Subscription] = {}
        self._waiting: dict[str, QoSProfile | None] = {}  # wanted, no publisher seen yet
        self._images = False
        self._stopping = False
        services = MutuallyExclusiveCallbackGroup()
        self._settle_group = ReentrantCallbackGroup()
        self.create_service(StartRecording, "record/start", self._on_start,
                            callback_group=services)
        self.create_service(Trigger, "record/stop", self._on_stop, callback_group=services)
        self._diagnostics = self.create_publisher(
            DiagnosticArray, "/diagnostics", qos.DIAGNOSTICS)
        self.create_timer(_WATCH_PERIOD, self._watch)
        self.create_timer(1.0, self._publish_diagnostics)
        if self._values["record_on_start"]:
            self.start_recording("", [], bool(self._values["record_images"]))

    def start_recording(self, uri: str, topics: list[str], images: bool) -> Path:
        """Start a recording and return its folder; RecordingError when refused."""
        if self._recording is not None:
            raise RecordingError(
                f"a recording is running already, into {self._recording.status().folder}. "
                "Stop it first with record/stop."
            )
        wanted = self._wanted(topics)
        recording = Recording(BagWriter(self._folder(uri)), self._limits())
        self._recording, self._images = recording, images and not topics
        self._waiting = dict(wanted)
        self._watch()
        folder = recording.status().folder
        self.get_logger().info(f"recording into {folder}")
        return folder

    def stop_recording(self) -> RecordingStatus | None:
        """Close the bag and return its final status; None when nothing was recorded."""
        recording, self._recording = self._recording, None
        if recording is None:
            return None
        self._unsubscribe()
        self._last = recording.stop()
        self._log_end(self._last)
        return self._last

    def destroy_node(self) -> None:
        """Close the bag, then the node."""
        self.stop_recording()
        super().destroy_node()

    def _folder(self, uri: str) -> Path:
        output = Path(str(self._values["output_folder"])).expanduser()
        name = uri or f"vla_sae_{datetime.now():%Y-%m-%d_%H-%M-%S}"
        return (output / Path(name).expanduser()).absolute()

    def _limits(self) -> RecordingLimits:
        return RecordingLimits(int(self._values["max_queue"]) * 10**6,  # type: ignore[arg-type]
                               int(self._values["min_free_disk"]) * 10**6)  # type: ignore[arg-type]

    def _wanted(self, topics: list[str]) -> dict[str, QoSProfile | None]:
        """Return the full topic names to record, with the contract's profile where it has one."""
        contract = {self.resolve_topic_name(topic.name): topic.qos for topic in CONTRACT_TOPICS}
        if not topics:
            return dict(contract)
        try:
            for topic in topics:
                validate_topic_name(topic)
        except InvalidTopicNameException as error:
            raise RecordingError(
                complaint("not a topic name", topics, "ROS topic names", str(error))
            ) from error
        names = [self.resolve_topic_name(topic) for topic in topics]
        return {name: contract.get(name) for name in names}

    def _watch(self) -> None:
        """Subscribe to what has appeared; finish a recording whose writer has stopped."""
        recording = self._recording
        if recording is None:
            return
        if recording.status().phase is RecordingPhase.FAILED:
            self.stop_recording()
            return
        visible = {name: types[0] for name, types in self.get_topic_names_and_types() if types}
        if self._images:
            for name, msgtype in visible.items():
                if msgtype in PICTURE_TYPES and name.startswith(self._picture_prefix()):
                    self._waiting.setdefault(name, None)
        for name, profile in list(self._waiting.items()):
            if name in self._subscriptions_made or self._try_subscribe(
                recording, name, profile, visible.get(name)
            ):
                del self._waiting[name]

    def _picture_prefix(self) -> str:
        return self.resolve_topic_name(PICTURE_PREFIX.rstrip("/")) + "/"

    def _try_subscribe(
        self, recording: Recording, topic: str, profile: QoSProfile | None, msgtype: str | None
    ) -> bool:
        """Subscribe if enough is known; False to try again at the next watch."""
        offers = [info.qos_profile for info in self.get_publishers_info_by_topic(topic)]
        if not offers and (profile is None or wait_for_publisher(profile)):
            return False
        known = {self.resolve_topic_name(each.name): each.msgtype for each in CONTRACT_TOPICS}
        msgtype = known.get(topic, msgtype)
        if msgtype is None:
            return False
        if not offers and profile is not None:
            offers = [profile]
        try:
            definition_of(msgtype)
            kind = message_class(msgtype)
        except RecordingError as error:
            self.get_logger().error(f"{topic} is not recorded: {error}")
            return True
        recording.add_topic(topic, msgtype, [bag_profile(offer) for offer in offers])
        self._subscriptions_made[topic] = self.create_subscription(
            kind, topic, partial(_store, recording, topic),
            subscription_profile(offers, msgtype), raw=True)
        return True

    def _unsubscribe(self) -> None:
        for subscription in self._subscriptions_made.values():
            self.destroy_subscription(subscription)
        self._subscriptions_made.clear()
        self._waiting.clear()

    def _on_start(
        self, request: StartRecording.Request, response: StartRecording.Response
    ) -> StartRecording.Response:
        try:
            folder = self.start_recording(request.uri, list(request.topics), request.images)
        except RecordingError as error:
            self.get_logger().warning(f"record/start refused: {error}")
            response.message = str(error)
            return response
        response.success, response.uri = True, str(folder)
        response.message = f"recording into {folder}"
        return response

    async def _on_stop(
        self, request: Trigger.Request, response: Trigger.Response
    ) -> Trigger.Response:
        if self._recording is None:
            response.message = "no recording is running" + (
                f"; the last one: {_in_words(self._last)}" if self._last else "")
            return response
        await self._settled()
        self._take_arrived()
        status = self.stop_recording()
        if status is None:  # the writer failed meanwhile
            status = self._last
        assert status is not None
        response.success = status.phase is RecordingPhase.CLOSED
        response.message = _in_words(status)
        return response

    def _take_arrived(self) -> None:
        """Store what has arrived and still waits for the executor, up to one queue per topic."""
        if self._recording is None:
            return
        for topic, subscription in self._subscriptions_made.items():
            for _ in range(subscription.qos_profile.depth):
                with subscription.handle:
                    taken = subscription.handle.take_message(subscription.msg_type, True)
                if taken is None:
                    break
                _store(self._recording, topic, taken[0])

    def _settled(self) -> Future:
        """Return a future that is done once messages already under way have arrived."""
        future: Future = Future()

        def done() -> None:
            timer.cancel()
            self.destroy_timer(timer)
            future.set_result(None)

        timer = self.create_timer(_SETTLE, done, callback_group=self._settle_group)
        return future

    def _log_end(self, status: RecordingStatus) -> None:
        if status.phase is RecordingPhase.CLOSED:
            self.get_logger().info(_in_words(status))
        else:
            self.get_logger().error(_in_words(status))

    def _publish_diagnostics(self) -> None:
        status = self._recording.status() if self._recording else self._last
        message = DiagnosticArray(status=[_diagnosis(status, sorted(self._waiting))])
        message.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(message)


def _store(recording: Recording, topic: str, data: bytes) -> None:
    recording.put(topic, time.time_ns(), data)


def _in_words(status: RecordingStatus) -> str:
    counts = (f"{status.messages} messages, {status.bytes / 1e6:.1f} MB, "
              f"{status.dropped_total} dropped, {status.seconds:.1f} s in {status.folder}")
    return f"{status.reason}; {counts}" if status.reason else f"{status.phase.value}: {counts}"


def _diagnosis(status: RecordingStatus | None, waiting: list[str]) -> DiagnosticStatus:
    """Return the recorder's state as one diagnostic status."""
    name = "recorder: recording"
    if status is None:
        return DiagnosticStatus(name=name, level=DiagnosticStatus.OK, message="not recording")
    level = DiagnosticStatus.OK
    if status.dropped:
        level = DiagnosticStatus.WARN
    if status.phase is RecordingPhase.FAILED:
        level = DiagnosticStatus.ERROR
    values = {
        "phase": status.phase.value, "folder": str(status.folder),
        "messages": str(status.messages), "bytes": str(status.bytes),
        "queued": str(status.queued), "dropped": str(status.dropped_total),
        "dropped_by_topic": ", ".join(f"{t}: {n}" for t, n in sorted(status.dropped.items())),
        "seconds": f"{status.seconds:.1f}", "waiting_for_publishers": ", ".join(waiting),
    }
    return DiagnosticStatus(
        name=name, level=level, message=_in_words(status),
        values=[KeyValue(key=key, value=value) for key, value in values.items()],
    )


def main(args: list[str] | None = None) -> int:
    """Run the recorder until SIGINT or SIGTERM."""
    return run_node(RecorderNode, args)


if __name__ == "__main__":
    sys.exit(main())
