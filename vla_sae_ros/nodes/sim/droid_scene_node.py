"""The cameras of droid-sim: the DROID-like scene follows the robot's joints and is looked at."""

from __future__ import annotations

import io
import threading
import time
from array import array
from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from PIL import Image as Picture
from rclpy.node import Node
from rclpy.publisher import Publisher
from sensor_msgs.msg import CompressedImage, Image, JointState

from vla_sae_ros.core.errors import SimulationError
from vla_sae_ros.core.parameters import parameter
from vla_sae_ros.nodes.base.node_description import DescriptionPublisher
from vla_sae_ros.nodes.base.parameters import declare_parameters
from vla_sae_ros.nodes.base.running import exit_at_once, run_node
from vla_sae_ros.robot.droid import RESET_POSE
from vla_sae_ros.sim.droid_scene import CAMERAS
from vla_sae_ros.sim.environment import FloatArray, ImageArray
from vla_sae_ros.wire import qos
from vla_sae_ros.wire.conversions import to_header, to_image
from vla_sae_ros.wire.steady import steady_timer


@dataclass(frozen=True)
class SceneParameters:
    """The rehearsal's cameras'."""

    width: int = parameter(
        320,
        "width of the pictures; DROID's data set has 320 x 180",
        unit="pixels",
        minimum=16,
        maximum=1920,
    )
    height: int = parameter(180, "height of the pictures", unit="pixels", minimum=16, maximum=1080)
    rate: float = parameter(
        15.0, "picture rate of every camera", unit="Hz", minimum=0.5, maximum=60.0, live=True
    )
    images: str = parameter(
        "raw", "form of the published pictures", choices=("raw", "compressed", "both")
    )
    jpeg_quality: int = parameter(
        90, "JPEG quality of compressed pictures", minimum=1, maximum=100, live=True
    )
    render_quality: str = parameter(
        "quick", "quick: fewer triangles and no shadows; full: all", choices=("quick", "full")
    )


KEPT = 100
"""Rounds of pictures whose time is remembered."""


@dataclass(frozen=True)
class _Joints:
    q: FloatArray
    closing: float


class DroidSceneNode(Node):
    """Publishes observation/image/<camera>, raw and/or /compressed, at its rate or as fast as the
    machine allows; /diagnostics says which."""

    def __init__(self, **node_options: Any) -> None:
        super().__init__("cameras", **node_options)
        self._values = declare_parameters(self, SceneParameters, self._changed)
        kinds = {
            "raw": (Image,),
            "compressed": (CompressedImage,),
            "both": (Image, CompressedImage),
        }[self._values.images]
        self._topics: dict[str, list[Publisher]] = {
            camera: [
                self.create_publisher(kind, _topic(camera, kind), qos.SENSOR) for kind in kinds
            ]
            for camera in CAMERAS
        }
        self._newest = _Joints(RESET_POSE, 0.0)
        self._refused = 0
        self._stamps: deque[float] = deque(maxlen=KEPT)
        self._late = 0
        self._failure = ""
        self.create_subscription(JointState, "joint_states", self._joints, qos.SENSOR)
        self.create_subscription(JointState, "gripper", self._gripper, qos.SENSOR)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", qos.DIAGNOSTICS)
        steady_timer(self, 1.0, self._diagnose)
        self._description = DescriptionPublisher(self, {"cameras": list(CAMERAS)})
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="scene", daemon=True)
        self._thread.start()

    def destroy_node(self) -> None:
        """End the scene's thread, then the node."""
        self._closing.set()
        self._thread.join(2.0)
        super().destroy_node()

    def _changed(self, values: SceneParameters) -> None:
        self._values = values

    def _joints(self, message: JointState) -> None:
        q = np.array(message.position, dtype=np.float64)
        if q.shape != (7,) or not np.isfinite(q).all():
            self._refused += 1
            return
        self._newest = _Joints(q, self._newest.closing)

    def _gripper(self, message: JointState) -> None:
        if len(message.position) == 1 and np.isfinite(message.position[0]):
            self._newest = _Joints(self._newest.q, float(message.position[0]))

    def _run(self) -> None:
        """Own the scene and its GL context until the node ends."""
        from vla_sae_ros.sim.droid_world import DroidWorld  # building it takes seconds

        try:
            world = DroidWorld(
                self._values.width,
                self._values.height,
                self._newest.q,
                thin=self._values.render_quality == "quick",
            )
            self.get_logger().info("the scene is ready")
            self._film(world)
            world.close()
        except SimulationError as error:
            self._failure = str(error)
            self.get_logger().error(f"pictures have stopped: {error}")

    def _film(self, world: Any) -> None:
        due = before = time.monotonic()
        while not self._closing.wait(max(0.0, due - time.monotonic())):
            period = 1.0 / self._values.rate
            now = time.monotonic()
            self._late += now - due > period
            due = max(due + period, now)  # what was missed is not made up for
            joints, stamp_ns = self._newest, time.time_ns()
            world.advance(now - before, joints.q, joints.closing)
            before = now
            for camera, publishers in self._topics.items():
                self._show(camera, publishers, world.picture(camera), stamp_ns)
            self._stamps.append(now)

    def _show(
        self, camera: str, publishers: list[Publisher], picture: ImageArray, stamp_ns: int
    ) -> None:
        header = to_header(stamp_ns, camera)
        for publisher in publishers:
            if publisher.msg_type is Image:
                publisher.publish(to_image(picture, header))
                continue
            buffer = io.BytesIO()
            quality = self._values.jpeg_quality
            Picture.fromarray(picture).save(buffer, "jpeg", quality=quality)
            publisher.publish(
                CompressedImage(
                    header=header,
                    format="rgb8; jpeg compressed bgr8",
                    data=array("B", buffer.getvalue()),
                )
            )

    def _diagnose(self) -> None:
        stamps = list(self._stamps)
        rate = (len(stamps) - 1) / (stamps[-1] - stamps[0]) if len(stamps) > 2 else 0.0
        wanted = self._values.rate
        level = DiagnosticStatus.OK if rate > 0.9 * wanted else DiagnosticStatus.WARN
        if self._failure:
            level = DiagnosticStatus.ERROR
        status = DiagnosticStatus(
            level=level,
            name=f"{self.get_name()}: scene",
            hardware_id="simulation",
            message=self._failure or f"{rate:.1f} Hz of {wanted:g}",
            values=[
                KeyValue(key="rate [Hz]", value=f"{rate:.2f}"),
                KeyValue(key="late rounds", value=str(self._late)),
                KeyValue(key="refused joint states", value=str(self._refused)),
            ],
        )
        self._diagnostics.publish(
            DiagnosticArray(header=to_header(self.get_clock().now().nanoseconds), status=[status])
        )


def _topic(camera: str, kind: type) -> str:
    return f"observation/image/{camera}" + ("/compressed" if kind is CompressedImage else "")


def main(args: list[str] | None = None) -> int:
    """Run the cameras; return the exit status."""
    return run_node(DroidSceneNode, args)


if __name__ == "__main__":
    exit_at_once(main())
