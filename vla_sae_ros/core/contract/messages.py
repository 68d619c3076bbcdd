"""Reading the values a contract selects out of ROS messages.

Messages are read by attribute, so live messages and those from a recorded bag give the same values
and nothing here imports ROS.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from vla_sae_ros.core.contract.pictures import CompressedPicture
from vla_sae_ros.core.contract.schema import COMPRESSED_TYPE, IMAGE_TYPE, Channel, Source
from vla_sae_ros.core.errors import ContractError, ObservationError, complaint
from vla_sae_ros.core.shapes import Picture

Kind = Literal["image", "compressed", "joints", "trajectory", "fields", "scalar", "text"]
NANOSECONDS = 1_000_000_000
JOINT_FIELDS = ("position", "velocity", "effort")
TRAJECTORY_FIELDS = {"position": "positions", "velocity": "velocities", "effort": "effort"}
"""Field of a JointState to the one of a trajectory's point."""

RED_GREEN_BLUE, BLUE_GREEN_RED = slice(0, 3), slice(2, None, -1)

PIXEL_ORDERS: dict[str, tuple[int, slice]] = {
    "rgb8": (3, RED_GREEN_BLUE),
    "bgr8": (3, BLUE_GREEN_RED),
    "rgba8": (4, RED_GREEN_BLUE),
    "bgra8": (4, BLUE_GREEN_RED),
    "mono8": (1, RED_GREEN_BLUE),
}
"""Encoding to (channels in the message, where red, green and blue are among them)."""


@dataclass(frozen=True)
class MessageType:
    """How values are read from a message type, and whether it carries a header."""

    kind: Kind
    has_header: bool


MESSAGE_TYPES: dict[str, MessageType] = {
    IMAGE_TYPE: MessageType("image", True),
    COMPRESSED_TYPE: MessageType("compressed", True),
    "sensor_msgs/msg/JointState": MessageType("joints", True),
    "trajectory_msgs/msg/JointTrajectory": MessageType("trajectory", True),
    "sensor_msgs/msg/Imu": MessageType("fields", True),
    "sensor_msgs/msg/Joy": MessageType("fields", True),
    "nav_msgs/msg/Odometry": MessageType("fields", True),
    "geometry_msgs/msg/PoseStamped": MessageType("fields", True),
    "geometry_msgs/msg/TwistStamped": MessageType("fields", True),
    "geometry_msgs/msg/WrenchStamped": MessageType("fields", True),
    "geometry_msgs/msg/Pose": MessageType("fields", False),
    "geometry_msgs/msg/Twist": MessageType("fields", False),
    "std_msgs/msg/Float32MultiArray": MessageType("fields", False),
    "std_msgs/msg/Float64MultiArray": MessageType("fields", False),
    "std_msgs/msg/Float32": MessageType("scalar", False),
    "std_msgs/msg/Float64": MessageType("scalar", False),
    "std_msgs/msg/String": MessageType("text", False),
    "vla_sae_ros/msg/ExecutedAction": MessageType("fields", True),
    "vla_sae_ros/msg/EpisodeState": MessageType("text", True),
}


def message_type(name: str, where: str) -> MessageType:
    """Return how a type is read; raises ContractError naming the supported ones."""
    if name not in MESSAGE_TYPES:
        raise ContractError(
            complaint(f"{where}: message type", name, ", ".join(sorted(MESSAGE_TYPES)))
        )
    return MESSAGE_TYPES[name]


def header_ns(message: Any, channel: Channel) -> int:
    """Return the header's stamp in nanoseconds; raises ObservationError when it is not set."""
    stamp = message.header.stamp
    stamp_ns = stamp.sec * NANOSECONDS + stamp.nanosec
    if stamp_ns == 0:
        raise ObservationError(
            f"A message on {channel.topic} has no time stamp, but the contract aligns it by its "
            "header stamp. Set the stamp in the publisher, or use `timeline: receive`."
        )
    return stamp_ns


def read(message: Any, source: Source) -> npt.NDArray[Any] | CompressedPicture:
    """Return what the source selects: (height, width, 3) uint8 RGB or a vector (n,) float64.

    A compressed picture is not decoded: only the few that become part of a frame are. Operators are
    not applied. Raises ObservationError when the message lacks a field, has another encoding than
    PIXEL_ORDERS knows, or carries a number that is not finite.
    """
    kind = MESSAGE_TYPES[source.channel.type].kind
    if kind == "image":
        return read_image(message, source.channel.topic)
    if kind == "compressed":
        return CompressedPicture(bytes(message.data), message.format, source.channel.topic)
    if kind in ("joints", "trajectory"):
        values = [_joint(message, path, source.channel) for path in source.select]
    elif kind == "scalar":
        values = [message.data]
    else:
        values = [_field(message, path, source.channel) for path in source.select]
    vector = np.array(values, dtype=np.float64)
    if not np.isfinite(vector).all():
        raise ObservationError(
            f"A message on {source.channel.topic} contains values that are not finite: "
            f"{vector.tolist()}."
        )
    return vector


def read_text(message: Any, select: tuple[str, ...], channel: Channel) -> str:
    """Return the text a task source selects."""
    return str(_field(message, select[0] if select else "data", channel))


def read_image(message: Any, topic: str) -> Picture:
    """Return a sensor_msgs/Image as (height, width, 3) uint8 RGB, a view of its data."""
    if message.encoding not in PIXEL_ORDERS:
        raise ObservationError(
            complaint(
                f"encoding of a picture on {topic}", message.encoding, ", ".join(PIXEL_ORDERS)
            )
        )
    channels, order = PIXEL_ORDERS[message.encoding]
    data = np.frombuffer(message.data, dtype=np.uint8)
    row = message.width * channels
    if message.step < row or data.size != message.step * message.height or data.size == 0:
        raise ObservationError(
            f"A picture on {topic} has the wrong size: its header gives {message.height} x "
            f"{message.width} {message.encoding} with {message.step} bytes per row, but it has "
            f"{data.size} bytes."
        )
    pixels = data.reshape(message.height, message.step)[:, :row]
    pixels = pixels.reshape(message.height, message.width, channels)
    if channels == 1:
        return np.broadcast_to(pixels, (message.height, message.width, 3))
    return pixels[:, :, order]


def _joint(message: Any, path: str, channel: Channel) -> float:
    """Return one joint's value of a JointState, or of the last point of a JointTrajectory."""
    field, joint = split_joint(path)
    trajectory = hasattr(message, "joint_names")
    names = list(message.joint_names if trajectory else message.name)
    if joint not in names:
        raise ObservationError(
            complaint(f"unknown joint of {channel.topic}", joint, ", ".join(names) or "none")
        )
    if trajectory and not message.points:
        raise ObservationError(f"A trajectory on {channel.topic} has no points.")
    values = (
        getattr(message.points[-1], TRAJECTORY_FIELDS[field])
        if trajectory
        else getattr(message, field)
    )
    place = names.index(joint)
    if place >= len(values):
        raise ObservationError(
            f"A message on {channel.topic} contains the joint {joint!r} but no {field} for it."
        )
    return values[place]


def split_joint(path: str) -> tuple[str, str]:
    """Return (field, joint) of a JointState path; a bare joint name means its position."""
    field, dot, joint = path.partition(".")
    return (field, joint) if dot and field in JOINT_FIELDS else ("position", path)


def _field(message: Any, path: str, channel: Channel) -> Any:
    value = message
    for part in path.split("."):
        try:
            value = value[int(part)] if part.isdecimal() else getattr(value, part)
        except (AttributeError, IndexError, TypeError) as error:
            raise ObservationError(
                f"A message on {channel.topic} ({channel.type}) has no {path!r}: {error}."
            ) from error
    return value
