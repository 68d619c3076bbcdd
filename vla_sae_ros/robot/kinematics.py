"""Where the arm's parts are: forward kinematics of the Panda and the FR3.

Modified (Craig's) Denavit-Hartenberg parameters as Franka publishes them for both robots:
frankarobotics.github.io/docs/control_parameters.html, "Denavit-Hartenberg parameters".
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vla_sae_ros.robot.driver import Joints

_A = (0.0, 0.0, 0.0, 0.0825, -0.0825, 0.0, 0.088)
_D = (0.333, 0.0, 0.316, 0.0, 0.384, 0.0, 0.0)
_TWIST = (0, -1, 1, 1, -1, 1, 1)
"""Alpha in right angles."""
_FLANGE = 0.107
"""[m] along joint 7's axis."""

PARTS = ("elbow", "wrist", "flange", "tool")
"""Points that the workspace guard looks at: origins of joints 4 and 6, the flange, the tool."""


class FrankaKinematics:
    """Base frame x forward, z up; metres.

    Args:
        tool: (3,) [m] tool point in the flange's frame; (0, 0, 0.1034) for the Franka hand.
    """

    def __init__(self, tool: npt.NDArray[np.float64]) -> None:
        self._tool = np.asarray(tool, float)

    def flange(self, q: Joints) -> npt.NDArray[np.float64]:
        """Return the flange's pose (..., 4, 4) in the base frame for joints (..., 7) rad."""
        hand = self._joint_frames(q)[6]
        pose = np.zeros((4, 4, hand.origin.shape[1]))
        pose[:3, 0], pose[:3, 1], pose[:3, 2] = hand.x, hand.y, hand.z
        pose[:3, 3] = hand.origin + _FLANGE * hand.z
        pose[3, 3] = 1.0
        return np.moveaxis(pose, -1, 0).reshape(*np.shape(q)[:-1], 4, 4)

    def points(self, q: Joints) -> npt.NDArray[np.float64]:
        """Return where the PARTS are, (..., 4, 3) [m], for joints (..., 7) rad."""
        frames = self._joint_frames(q)
        hand, (along_x, along_y, along_z) = frames[6], self._tool
        flange = hand.origin + _FLANGE * hand.z
        parts = np.empty((4, *flange.shape))
        parts[0], parts[1], parts[2] = frames[3].origin, frames[5].origin, flange
        parts[3] = flange + along_x * hand.x + along_y * hand.y + along_z * hand.z
        return np.moveaxis(parts, -1, 0).reshape(*np.shape(q)[:-1], 4, 3)

    def tool(self, q: Joints) -> npt.NDArray[np.float64]:
        """Return the tool point (..., 3) [m] for joints (..., 7) rad."""
        return self.points(q)[..., -1, :]

    def jacobian(self, q: Joints) -> npt.NDArray[np.float64]:
        """Return (6, 7): tool velocity [m/s], turning [rad/s], base frame, per rad/s of a joint."""
        frames = self._joint_frames(q)
        axes = np.array([frame.z[:, 0] for frame in frames])
        arms = self.tool(q) - np.array([frame.origin[:, 0] for frame in frames])
        return np.vstack([np.cross(axes, arms).T, axes.T])

    @staticmethod
    def _joint_frames(q: Joints) -> list[_Frame]:
        """Walk from the base to joint 7: along x, turn about x, along z, turn about z.

        Coordinates come first and poses last: the hundreds of poses that the workspace guard looks
        at within a tick are a few dozen long vector operations, not thousands of small products.
        """
        angles = np.ascontiguousarray(np.asarray(q, float).reshape(-1, 7).T)
        cos, sin = np.cos(angles), np.sin(angles)
        origin, (x, y, z) = np.zeros((3, 1)), np.eye(3)[..., None]
        frames = []
        for joint in range(7):
            if _A[joint]:
                origin = origin + _A[joint] * x
            if _TWIST[joint]:
                y, z = _TWIST[joint] * z, -_TWIST[joint] * y
            if _D[joint]:
                origin = origin + _D[joint] * z
            c, s = cos[joint], sin[joint]
            x, y = c * x + s * y, c * y - s * x
            frames.append(_Frame(origin, x, y, z))
        return frames


@dataclass(frozen=True)
class _Frame:
    """Origin [m] and axes of a joint's frame in the base frame, for P poses.

    Each is (3, P), or (3, 1) where it is the same for all.
    """

    origin: npt.NDArray[np.float64]
    x: npt.NDArray[np.float64]
    y: npt.NDArray[np.float64]
    z: npt.NDArray[np.float64]
