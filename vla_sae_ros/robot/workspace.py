"""Where the arm may be: a box for the tool, and a table that nothing of the arm may touch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Workspace:
    """In the robot's base frame, metres; z = 0 is the plane that the base stands on."""

    lower: npt.NDArray[np.float64]
    """(3,) [m] for the tool point."""
    upper: npt.NDArray[np.float64]
    """(3,) [m] for the tool point."""
    table_height: float
    """[m]"""
    tool_clearance: float
    """[m] that the tool point stays above the table."""
    arm_clearance: float
    """[m] that elbow, wrist and flange stay above the table; the arm is thicker than its axes."""

    def outside(self, points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return how far an arm is outside, (...) [m]; 0 or less: inside.

        Args:
            points: (..., 4, 3) [m] in the order of kinematics.PARTS.
        """
        tool = points[..., -1, :]
        box = np.maximum(self.lower - tool, tool - self.upper).max(axis=-1)
        table = self.table_height + self.tool_clearance - tool[..., 2]
        arm = self.table_height + self.arm_clearance - points[..., :-1, 2].min(axis=-1)
        return np.maximum(np.maximum(box, table), arm)
