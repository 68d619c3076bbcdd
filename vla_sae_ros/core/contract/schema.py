"""What a contract says: which topics feed which policy feature, and where actions go.

The names of the keys are those of the rosetta contract format (https://github.com/iblnkn/rosetta).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from vla_sae_ros.core.alignment import Align
from vla_sae_ros.core.contract.operators import Operator

Safety = Literal["none", "hold", "zeros"]

IMAGE_TYPE, COMPRESSED_TYPE = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"


@dataclass(frozen=True)
class Qos:
    """QoS of a channel; history is always keep_last."""

    reliability: Literal["reliable", "best_effort"] = "reliable"
    durability: Literal["volatile", "transient_local"] = "volatile"
    depth: int = 10


@dataclass(frozen=True)
class Channel:
    """One ROS topic. A relative topic name is resolved in the node's namespace."""

    topic: str
    type: str
    """For example sensor_msgs/msg/Image."""
    qos: Qos = Qos()
    safety: Safety = "none"
    """What is commanded on this channel while there is no valid action."""
    dtype: Literal["float32", "float64"] = "float32"
    """Of the numbers that come out; pictures are always uint8."""


@dataclass(frozen=True)
class Source:
    """Part of an entry that comes from, or goes to, one channel."""

    channel: Channel
    align: Align
    select: tuple[str, ...] = ()
    """Fields of the message, in order; empty for pictures, texts and single numbers."""
    apply: tuple[Operator, ...] = ()
    """Operators from the channel's units to the policy's, first to last."""

    @property
    def is_image(self) -> bool:
        """Whether the channel carries pictures."""
        return self.channel.type in (IMAGE_TYPE, COMPRESSED_TYPE)

    @property
    def channel_width(self) -> int:
        """Return how many numbers the channel carries for this entry."""
        return max(1, len(self.select))

    @property
    def width(self) -> int:
        """Return how many numbers of the policy's vector this source gives."""
        width = self.channel_width
        for operator in self.apply:
            width = operator.width(width)
        return width


@dataclass(frozen=True)
class Entry:
    """One feature of the policy; several sources are concatenated in order."""

    key: str
    """For example observation.images.agentview, observation.state, action."""
    sources: tuple[Source, ...]

    @property
    def is_image(self) -> bool:
        """Whether the feature is a picture (height, width, 3) uint8 RGB."""
        return self.sources[0].is_image

    @property
    def width(self) -> int:
        """Return the length of a numeric feature's vector."""
        return sum(source.width for source in self.sources)


@dataclass(frozen=True)
class Task:
    """A topic that says in words what the robot is to do."""

    key: str
    channel: Channel
    select: tuple[str, ...]


@dataclass(frozen=True)
class Contract:
    """A whole contract file."""

    robot_type: str
    fps: float
    """Frames and control ticks per second."""
    observations: tuple[Entry, ...]
    actions: tuple[Entry, ...]
    tasks: tuple[Task, ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)
    """Observation -> what the policy calls it, where that is another name; `map` in the file."""

    @property
    def offered(self) -> dict[str, tuple[int, ...] | None]:
        """Return every observation with its shape, None for a picture's."""
        return {
            entry.key: None if entry.is_image else (entry.width,) for entry in self.observations
        }

    @property
    def period_ns(self) -> int:
        """Return the time between frames in nanoseconds."""
        return round(1e9 / self.fps)

    def observing(self, keys: Collection[str]) -> Contract:
        """Return the contract with these observations only: a camera that the policy does not see
        must not hold it up."""
        kept = tuple(entry for entry in self.observations if entry.key in keys)
        return replace(self, observations=kept)

    @property
    def action(self) -> Entry:
        """Return the one action entry."""
        return self.actions[0]
