"""The hand's path and pose, joints and gripper, and the executed actions."""

from __future__ import annotations

from typing import Any

import numpy as np
import rerun as rr

from vla_sae_ros.bags.timeline import commander_of
from vla_sae_ros.core.commander import Commander
from vla_sae_ros.study.plots import colours

HAND, PATH, POSE = "hand", "hand/path", "hand/pose"
ACTIONS = "actions"

_PATH_WIDTH = 1.5  # [points of the screen]
_AXES = 0.05  # [m]


class RobotSeries:
    """Draws the robot of one recording, in the frame of `ee_pose`."""

    def __init__(self, stream: rr.RecordingStream) -> None:
        self._stream = stream
        self._last: np.ndarray | None = None
        self._person = False
        stream.log(HAND, rr.ViewCoordinates.RIGHT_HAND_Z_UP, static=True)
        stream.log(POSE, rr.TransformAxes3D(_AXES), static=True)

    def pose(self, message: Any, steered: bool) -> None:
        """Draw a PoseStamped and the way since the one before."""
        point, turn = message.pose.position, message.pose.orientation
        position = np.array([point.x, point.y, point.z])
        quaternion = np.array([turn.x, turn.y, turn.z, turn.w])
        valid = np.isfinite(quaternion).all() and np.linalg.norm(quaternion) > 0
        self._stream.log(
            POSE,
            rr.Transform3D(
                translation=position,
                quaternion=rr.Quaternion(xyzw=quaternion) if valid else None,
            ),
        )
        before = position if self._last is None else self._last
        colour = colours.GREEN if self._person else colours.VERMILION if steered else colours.BLUE
        way = rr.LineStrips3D(
            [[before, position]],
            colors=[colours.rgb(colour)],
            radii=rr.Radius.ui_points(_PATH_WIDTH),
        )
        self._stream.log(PATH, way)
        self._last = position

    def joints(self, name: str, message: Any) -> None:
        """Draw each joint of a JointState below the topic's name."""
        for number, position in enumerate(np.asarray(message.position).tolist()):
            joint = message.name[number] if number < len(message.name) else str(number)
            self._stream.log([name, joint], rr.Scalars(position))

    def action(self, message: Any) -> None:
        """Draw an ExecutedAction."""
        self._person = commander_of(message) is Commander.PERSON
        for number, value in enumerate(np.asarray(message.action).tolist()):
            self._stream.log([ACTIONS, str(number)], rr.Scalars(value))
