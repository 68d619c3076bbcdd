"""Between numpy arrays and ROS messages.

Sequences are filled with array.array: rclpy checks every element of anything else, which takes
hundreds of times longer for a picture.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from builtin_interfaces.msg import Time
from geometry_msgs.msg import PoseStamped
from sensor_msgs.msg import Image, JointState
from std_msgs.msg import Header

NANOSECONDS = 1_000_000_000


def to_time(stamp_ns: int) -> Time:
    """Return the stamp (nanoseconds since the epoch) as a message."""
    return Time(sec=stamp_ns // NANOSECONDS, nanosec=stamp_ns % NANOSECONDS)


def to_ns(stamp: Time) -> int:
    """Return the stamp in nanoseconds since the epoch."""
    return stamp.sec * NANOSECONDS + stamp.nanosec


def to_header(stamp_ns: int, frame_id: str = "") -> Header:
    """Return a header with this stamp (nanoseconds since the epoch)."""
    return Header(stamp=to_time(stamp_ns), frame_id=frame_id)


def to_floats(values: npt.ArrayLike) -> array[float]:
    """Return the values, flattened row by row, for a float32[] field."""
    return array("f", np.ascontiguousarray(values, dtype=np.float32).tobytes())


def to_unsigned(values: npt.ArrayLike) -> array[int]:
    """Return the values for a uint32[] field."""
    return array("I", np.ascontiguousarray(values, dtype=np.uint32).tobytes())


def to_image(picture: npt.NDArray[np.uint8], header: Header) -> Image:
    """Return an rgb8 message of a (height, width, 3) uint8 RGB picture."""
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
        raise ValueError(
            f"a picture is (height, width, 3) uint8, got {picture.shape} {picture.dtype}"
        )
    height, width, _ = picture.shape
    return Image(
        header=header,
        height=height,
        width=width,
        encoding="rgb8",
        is_bigendian=0,
        step=3 * width,
        data=array("B", np.ascontiguousarray(picture).tobytes()),
    )


def to_joint_state(names: Sequence[str], positions: npt.ArrayLike, header: Header) -> JointState:
    """Return a message with the joints' positions (n,) in rad or m."""
    values = np.ascontiguousarray(positions, dtype=np.float64)
    return JointState(header=header, name=list(names), position=array("d", values.tobytes()))


def to_pose(position: npt.ArrayLike, quaternion: npt.ArrayLike, header: Header) -> PoseStamped:
    """Return a pose: position (3,) [m], quaternion (4,) as x, y, z, w, in the header's frame."""
    message = PoseStamped(header=header)
    point, orientation = message.pose.position, message.pose.orientation
    point.x, point.y, point.z = np.asarray(position, dtype=np.float64).tolist()
    orientation.x, orientation.y, orientation.z, orientation.w = np.asarray(
        quaternion, dtype=np.float64
    ).tolist()
    return message
