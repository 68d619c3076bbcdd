"""Where the arm's parts are: forward kinematics of the Panda and the FR3.

Modified (Craig's) Denavit-Hartenberg parameters as Franka publishes them for both robots:
frankarobotics.github.io/docs/control_parameters.html, "Denavit-Hartenberg parameters".
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vla_sae_ros.robot.driver import Joints

_A = np.array([0.0, 0.0, 0.0, 0.0825, -0.0825, 0.0, 0.088])
_D = np.array([0.333, 0.0, 0.316, 0.0, 0.384, 0.0, 0.0])
_ALPHA = np.pi / 2 * np.array([0, -1, 1, 1, -1, 1, 1])
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
        cos, sin = np.cos(_ALPHA), np.sin(_ALPHA)
        self._fixed = np.tile(np.eye(4), (7, 1, 1))
        self._fixed[:, 1, 1], self._fixed[:, 1, 2], self._fixed[:, 1, 3] = cos, -sin, -_D * sin
        self._fixed[:, 2, 1], self._fixed[:, 2, 2], self._fixed[:, 2, 3] = sin, cos, _D * cos
        self._fixed[:, 0, 3] = _A

    def flange(self, q: Joints) -> npt.NDArray[np.float64]:
        """Return the flange's pose (..., 4, 4) in the base frame for joints (..., 7) rad."""
        pose = self._joint_frames(q)[-1].copy()
        pose[..., :3, 3] += _FLANGE * pose[..., :3, 2]
        return pose

    def points(self, q: Joints) -> npt.NDArray[np.float64]:
        """Return where the PARTS are, (..., 4, 3) [m], for joints (..., 7) rad."""
        frames = self._joint_frames(q)
        hand = frames[6]
        flange = hand[..., :3, 3] + _FLANGE * hand[..., :3, 2]
        tool = flange + hand[..., :3, :3] @ self._tool
        return np.stack([frames[3][..., :3, 3], frames[5][..., :3, 3], flange, tool], axis=-2)

    def tool(self, q: Joints) -> npt.NDArray[np.float64]:
        """Return the tool point (..., 3) [m] for joints (..., 7) rad."""
        return self.points(q)[..., -1, :]

    def _joint_frames(self, q: Joints) -> list[npt.NDArray[np.float64]]:
        q = np.asarray(q, float)
        turns = np.zeros((*q.shape, 4, 4))
        cos, sin = np.cos(q), np.sin(q)
        turns[..., 0, 0], turns[..., 0, 1], turns[..., 1, 0], turns[..., 1, 1] = cos, -sin, sin, cos
        turns[..., 2, 2] = turns[..., 3, 3] = 1.0
        steps = self._fixed @ turns
        frames = [steps[..., 0, :, :]]
        for joint in range(1, 7):
            frames.append(frames[-1] @ steps[..., joint, :, :])
        return frames
