"""A bag as the live loop would write it: the real engine, steering and messages, without DDS."""

from __future__ import annotations

import io
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from rclpy.serialization import serialize_message
from sensor_msgs.msg import CompressedImage, JointState
from std_msgs.msg import Header

from vla_sae_ros.bags.timeline import nanoseconds
from vla_sae_ros.bags.writer import BagWriter
from vla_sae_ros.core.contract import FrameBuilder, load_contract
from vla_sae_ros.core.steering import Edit, Mode, StateView, Steering
from vla_sae_ros.msg import ChunkRequest, EpisodeState, NodeDescription
from vla_sae_ros.nodes.policy.continuing import Continuing
from vla_sae_ros.nodes.policy.inference_worker import NANOSECONDS, Job
from vla_sae_ros.nodes.policy.messages import facts, to_catalogue, to_chunk, to_features
from vla_sae_ros.policy.engine import PolicyEngine
from vla_sae_ros.resources import resource, software_version
from vla_sae_ros.wire.conversions import to_header, to_image, to_joint_state, to_pose, to_time
from vla_sae_ros.wire.steering_messages import from_state

START = 1_700_000_000_123_456_789
PERIOD = 50_000_000
GAP = 10_000_000_000  # [ns] from one episode's start to the next one's
STEPS_PER_CHUNK = 3
INSTRUCTION = "pick up the butter and place it in the basket"
SITE = "expert.1"


class ServedBag:
    """Serves steered episodes "e1", "e2" ... and records them.

    `pictures` is "raw", "png", "jpeg" or "" for none; every message passes through `change`, which
    returns it, another one, or None to leave it out. An episode has `requests` of STEPS_PER_CHUNK
    steps each. With `rtc`, chunks are continued as the policy node does it.
    """

    def __init__(
        self,
        folder: Path,
        engine: PolicyEngine,
        pictures: str = "raw",
        change: Any = lambda topic, message: message,
        episodes: int = 1,
        requests: int = 12,
        rtc: bool = False,
    ) -> None:
        self._engine, self._pictures, self._change = engine, pictures, change
        self._episodes, self._requests = episodes, requests
        self._writer = BagWriter(folder, 2**20)
        self._builder = FrameBuilder(load_contract(resource("config", "contracts", "libero.yaml")))
        self._steering = Steering(engine.steering_sites())
        self._published: StateView | None = None
        self._now = START
        self._chunk_id = 0
        self._continuing = Continuing(engine, START) if rtc else None
        if rtc:
            engine.enable_rtc()

    def record(self) -> None:
        """Write the whole bag."""
        known = facts(self._engine)
        self._put(
            "description",
            NodeDescription(
                software_version=software_version(),
                names=list(known),
                values=list(map(str, known.values())),
            ),
        )
        self._put("policy/catalogue", to_catalogue(self._engine, START))
        self._publish_state(self._steering.view())
        for number in range(1, self._episodes + 1):
            self._serve(
                EpisodeState(
                    episode_id=f"e{number}",
                    instruction=INSTRUCTION,
                    seed=10 + number,
                    start=to_time(START + (number - 1) * GAP),
                    control_rate=20.0,
                )
            )
        self._writer.close()

    def _serve(self, episode: EpisodeState) -> None:
        """A ramp up, a bypass, a window, a release: whatever moves between two inferences."""
        for number, job in enumerate(self._jobs(episode)):
            if number == 2:
                self._steering.set(
                    [
                        Edit(2, Mode.CLAMP, 3.3, SITE, ramp=0.7),
                        Edit(4, Mode.SCALE, 0.3, SITE, window=(0.4, 0.9), ramp=0.2),
                    ],
                    "me",
                )
                self._changed(job, replan=True)
            if number in (5, 6):
                self._steering.set_bypass(number == 5, "me")
                self._changed(job, replan=True)
            if number == 9:
                self._steering.reset("me")
                self._changed(job, replan=False)
            self._infer(job)
        self._tell(episode, job.step, EpisodeState.SUCCEEDED)

    def _jobs(self, episode: EpisodeState) -> Iterator[Job]:
        start = nanoseconds(episode.start)
        for number in range(self._requests):
            step = number * STEPS_PER_CHUNK
            stamp = start + step * PERIOD
            header = to_header(stamp)
            for camera in ("agentview", "wrist"):
                picture = _picture(step, camera)
                message = to_image(picture, header)
                self._observe(f"observation/image/{camera}", message, picture)
            self._observe("ee_pose", to_pose([0.1 + step / 100, 0.2, 0.3], [1, 0, 0, 0], header))
            self._observe("gripper", _fingers(header))
            request = ChunkRequest(
                header=header,
                episode_id=episode.episode_id,
                instruction=INSTRUCTION,
                start=episode.start,
                seed=episode.seed,
                step=step,
            )
            self._put("policy/request", request)
            self._tell(episode, step, EpisodeState.RUNNING)
            yield Job(
                self._builder.frame(stamp).values,
                INSTRUCTION,
                episode.episode_id,
                stamp,
                start,
                episode.seed,
                step,
            )

    def _tell(self, episode: EpisodeState, step: int, status: int) -> None:
        episode.header = to_header(nanoseconds(episode.start) + step * PERIOD)
        episode.step, episode.status = step, status
        self._put("episode", episode)

    def _observe(self, topic: str, message: Any, picture: np.ndarray | None = None) -> None:
        self._builder.push(topic, message, self._now)
        if picture is None or self._pictures == "raw":
            self._put(topic, message)
        elif self._pictures:
            packed = io.BytesIO()
            Image.fromarray(picture).save(packed, self._pictures)
            self._put(
                f"{topic}/compressed",
                CompressedImage(
                    header=message.header, format=self._pictures, data=packed.getvalue()
                ),
            )

    def _changed(self, job: Job, replan: bool) -> None:
        self._publish_state(self._steering.view())
        if replan:
            self._infer(Job(**{**job.__dict__, "replan": True}))

    def _infer(self, job: Job) -> None:
        snapshot = self._steering.begin_inference(
            job.stamp_ns / NANOSECONDS, job.start_ns / NANOSECONDS
        )
        if not self._published.says_the_same(snapshot.view):
            self._publish_state(snapshot.view)
        self._chunk_id += 1
        if self._continuing is None:
            seed = job.seed, job.step
            inference = self._engine.infer(job.frame, job.instruction, seed, snapshot)
        else:
            inference = self._continuing.infer(job, snapshot)
            self._continuing.published(job, inference, self._chunk_id)
        self._put("policy/action_chunk", to_chunk(job, inference, self._chunk_id, 20.0, START))
        for site in inference.sites:
            features = to_features(job, inference, site, self._chunk_id, START)
            self._put("policy/features", features)

    def _publish_state(self, view: StateView) -> None:
        self._put("steering/state", from_state(view, START))
        self._published = view

    def _put(self, topic: str, message: Any) -> None:
        self._now += 1_000_000
        message = self._change(topic, message)
        if message is None:
            return
        package, kind, *_ = type(message).__module__.split(".")
        topic = f"/robot/{topic}"
        self._writer.add_topic(topic, f"{package}/{kind}/{type(message).__name__}")
        self._writer.write(topic, self._now, serialize_message(message))


def _picture(step: int, camera: str) -> np.ndarray:
    rows, columns = np.mgrid[0:256, 0:256]
    shade = (3 * step + 40 * (camera == "wrist")) % 200
    return np.stack([rows, columns, np.full_like(rows, shade)], axis=2).astype(np.uint8)


def _fingers(header: Header) -> JointState:
    message = to_joint_state(["finger_joint1", "finger_joint2"], [0.01, -0.01], header)
    # rclpy's serialize_message leaves rubbish behind empty float64 lists; the wire does not.
    message.velocity, message.effort = array("d", [0.0, 0.0]), array("d", [0.0, 0.0])
    return message
