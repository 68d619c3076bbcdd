"""The recorder: bags of everything a run says, started and stopped by service."""

from __future__ import annotations

import sys
import time
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup, ReentrantCallbackGroup
from rclpy.node import Node
from rclpy.task import Future
from std_srvs.srv import Trigger

from vla_sae_ros.bags.picture_compressor import Compression, PictureCompressor
from vla_sae_ros.bags.recording import Recording, RecordingPhase, RecordingStatus
from vla_sae_ros.bags.writer import BagWriter
from vla_sae_ros.core.errors import RecordingError, complaint
from vla_sae_ros.nodes.base.node_description import DescriptionPublisher
from vla_sae_ros.nodes.base.parameters import declare_parameters
from vla_sae_ros.nodes.base.running import run_node
from vla_sae_ros.nodes.recorder.parameters import NOT_COMPRESSED, RecorderParameters, limits_of
from vla_sae_ros.nodes.recorder.reports import RecorderReports, in_words
from vla_sae_ros.nodes.recorder.subscriptions import RecorderSubscriptions, wanted_topics
from vla_sae_ros.srv import StartRecording
from vla_sae_ros.wire import qos
from vla_sae_ros.wire.steady import steady_timer

_WATCH_PERIOD = 0.5  # [s] between looks for new publishers and for a failed writer
_REPORT_PERIOD = 1.0  # [s]
_SETTLE = 0.3  # [s] after record/stop in which messages already under way arrive
_LONGEST_SETTLE = 5.0  # [s] for what is read out of an inference whose chunk has come

LONGEST_NAME = 200
"""Characters of a bag's name."""


class RecorderNode(Node):
    """Serves record/start and record/stop; subscribes only while a recording runs."""

    def __init__(self, **node_options: Any) -> None:
        """Declare parameters, offer the services, start a first recording if asked to."""
        super().__init__("recorder", **node_options)
        self._values = declare_parameters(self, RecorderParameters, self._changed)
        self._recording: Recording | None = None
        self._last: RecordingStatus | None = None
        self._subscriptions_made: RecorderSubscriptions | None = None
        services = MutuallyExclusiveCallbackGroup()
        self._settle_group = ReentrantCallbackGroup()
        self.create_service(
            StartRecording,
            "record/start",
            self._on_start,
            callback_group=services,
            qos_profile=qos.SERVICE,
        )
        self.create_service(
            Trigger, "record/stop", self._on_stop, callback_group=services, qos_profile=qos.SERVICE
        )
        self._reports = RecorderReports(self)
        self._reports.publish_state(None)
        self._description = DescriptionPublisher(
            self, {"storage": "mcap", "rosbags_version": version("rosbags")}
        )
        steady_timer(self, _WATCH_PERIOD, self._watch)
        steady_timer(self, _REPORT_PERIOD, self._report)
        if self._values.record_on_start:
            self.start_recording("", [], self._values.record_images)
        self.get_logger().info("offers record/start and record/stop")

    def start_recording(self, uri: str, topics: list[str], images: bool) -> Path:
        """Start a recording and return its folder; RecordingError when refused."""
        if self._recording is not None:
            raise RecordingError(
                f"a recording is running already, into {self._recording.status().folder}. "
                "Stop it first (vla-sae record stop, or the service record/stop)."
            )
        wanted = wanted_topics(self, topics)
        recording = Recording(BagWriter(self._folder(uri)), limits_of(self._values))
        try:
            self._subscriptions_made = RecorderSubscriptions(
                self,
                recording,
                wanted,
                images and not topics,
                self._compressor(recording),
                not topics,
            )
        except Exception:
            recording.stop()
            raise
        self._recording = recording
        folder = recording.status().folder
        self.get_logger().info(f"recording into {folder}")
        self._reports.publish_state(recording.status())
        return folder

    def stop_recording(self) -> RecordingStatus | None:
        """Close the bag and return its final status; None when nothing was recorded."""
        recording, self._recording = self._recording, None
        if recording is None:
            return None
        if self._subscriptions_made is not None:
            self._subscriptions_made.close()
            self._subscriptions_made = None
        self._last = recording.stop()
        self._reports.publish_state(self._last)
        self._log_end(self._last)
        return self._last

    def _changed(self, values: RecorderParameters) -> None:
        self._values = values

    def destroy_node(self) -> None:
        """Close the bag, then the node."""
        self.stop_recording()
        super().destroy_node()

    def _folder(self, uri: str) -> Path:
        output = Path(self._values.output_folder).expanduser()
        name = uri or f"vla_sae_{datetime.now():%Y-%m-%d_%H-%M-%S}"
        if not name.isprintable():
            allowed = "characters that can be printed"
            raise RecordingError(complaint("folder of the bag", uri, allowed))
        if self._values.any_folder:
            return (output / Path(name).expanduser()).absolute()
        folder = (output / name).absolute()
        if len(name) > LONGEST_NAME or not folder.resolve().is_relative_to(output.resolve()):
            raise RecordingError(
                complaint(
                    "folder of the bag",
                    uri,
                    f"a name of at most {LONGEST_NAME} characters below {output.absolute()}",
                    "The recorder's parameter any_folder allows others.",
                )
            )
        return folder

    def _compressor(self, recording: Recording) -> PictureCompressor | None:
        form = self._values.image_compression
        if form == NOT_COMPRESSED:
            return None
        return PictureCompressor(
            recording,
            Compression(form, self._values.jpeg_quality),
            limits_of(self._values).max_queued_bytes,
            self.get_logger().warning,
        )

    def _watch(self) -> None:
        """Subscribe to what has appeared; finish a recording whose writer has stopped."""
        if self._recording is None:
            return
        if self._recording.status().phase is RecordingPhase.FAILED:
            self.stop_recording()
        elif self._subscriptions_made is not None:
            self._subscriptions_made.look()

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
                f"; the last one: {in_words(self._last)}" if self._last else ""
            )
            return response
        await self._settled()
        if self._take_arrived() is not None:
            await self._read_out()
        status = self.stop_recording()
        if status is None:  # the writer failed meanwhile
            status = self._last
        assert status is not None
        response.success = status.phase is RecordingPhase.CLOSED
        response.message = in_words(status)
        return response

    async def _read_out(self) -> None:
        """Wait for what is read out of the inference whose chunk has come."""
        since = time.monotonic()
        while (unread := self._take_arrived()) is not None:
            if time.monotonic() - since > _LONGEST_SETTLE:
                self.get_logger().warning(
                    f"what was read out of the inference of chunk {unread} did not come within "
                    f"{_LONGEST_SETTLE:g} s: the bag has its actions alone"
                )
                return
            await self._settled()
        await self._settled()  # for the sites after the first
        self._take_arrived()

    def _take_arrived(self) -> int | None:
        """Record what has arrived; return the chunk whose read-outs are still under way."""
        if self._subscriptions_made is None:  # the writer failed meanwhile
            return None
        self._subscriptions_made.take_arrived()
        return self._subscriptions_made.unread_chunk

    def _settled(self) -> Future:
        """Return a future that is done once messages already under way have arrived."""
        future: Future = Future()

        def done() -> None:
            timer.cancel()
            self.destroy_timer(timer)
            future.set_result(None)

        timer = steady_timer(self, _SETTLE, done, callback_group=self._settle_group)
        return future

    def _log_end(self, status: RecordingStatus) -> None:
        if status.phase is RecordingPhase.CLOSED:
            self.get_logger().info(in_words(status))
        else:
            self.get_logger().error(in_words(status))

    def _report(self) -> None:
        status = self._recording.status() if self._recording else self._last
        waiting = self._subscriptions_made.waiting if self._subscriptions_made else []
        self._reports.publish_diagnostics(status, waiting)
        if self._recording is not None:
            self._reports.publish_state(status)


def main(args: list[str] | None = None) -> int:
    """Run the recorder until SIGINT or SIGTERM."""
    return run_node(RecorderNode, args)


if __name__ == "__main__":
    sys.exit(main())
