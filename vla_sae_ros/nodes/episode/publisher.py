"""The topics on which a simulated episode is told."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from rclpy.node import Node
from sensor_msgs.msg import Image

from vla_sae_ros.msg import ChunkRequest, EpisodeState, ExecutedAction
from vla_sae_ros.nodes.episode.episode import ExecutedTick, Progress, Request
from vla_sae_ros.nodes.episode.messages import to_executed, to_request, to_state
from vla_sae_ros.nodes.episode.numbers import (
    WORLD,
    ArmPublisher,
    NumbersPublisher,
    VectorPublisher,
)
from vla_sae_ros.sim.environment import ImageArray, Observation
from vla_sae_ros.wire import qos
from vla_sae_ros.wire.conversions import to_header, to_image


class EpisodePublisher:
    """A SimulatedEpisodeOutput on a node's relative topics; any thread may use it.

    Args:
        node: owns the publishers.
        cameras: names of the pictures.
        control_rate: Hz.
        vectors: what is published beside the pictures: numbers under these names, so many of each;
            None: a Panda's joints, hand and fingers.
    """

    def __init__(
        self,
        node: Node,
        cameras: Iterable[str],
        control_rate: float,
        vectors: Mapping[str, int] | None = None,
    ) -> None:
        self._control_rate = control_rate
        self._pictures = {
            camera: node.create_publisher(Image, f"observation/image/{camera}", qos.OBSERVATION)
            for camera in cameras
        }
        self._numbers: NumbersPublisher = (
            ArmPublisher(node) if vectors is None else VectorPublisher(node, vectors)
        )
        self._requests = node.create_publisher(ChunkRequest, "policy/request", qos.CHUNK)
        self._executed = node.create_publisher(ExecutedAction, "executed_action", qos.EXECUTED)
        self._states = node.create_publisher(EpisodeState, "episode", qos.LATCHED)
        self.on_state: Callable[[EpisodeState], None] | None = None
        """Also called with every state, on the thread that reports it."""
        self.latest = Progress()
        """The progress told last."""
        self.progress(self.latest)

    def has_policy(self) -> bool:
        """Return whether somebody listens for requests."""
        return self._requests.get_subscription_count() > 0

    def observation(
        self, stamp_ns: int, observation: Observation, pictures: dict[str, ImageArray]
    ) -> None:
        """See SimulatedEpisodeOutput.observation."""
        for camera, picture in pictures.items():
            self._pictures[camera].publish(to_image(picture, to_header(stamp_ns, camera)))
        self._numbers.publish(to_header(stamp_ns, WORLD), observation)

    def request(self, request: Request) -> None:
        """See EpisodeOutput.request."""
        self._requests.publish(to_request(request))

    def executed(self, tick: ExecutedTick) -> None:
        """See EpisodeOutput.executed."""
        self._executed.publish(to_executed(tick))

    def progress(self, progress: Progress) -> None:
        """See EpisodeOutput.progress."""
        self.latest = progress
        state = to_state(progress, self._control_rate)
        self._states.publish(state)
        if self.on_state is not None:
            self.on_state(state)
