"""Everything a lab sets about its robot: config/robots/*.yaml."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vla_sae_ros.robot.driver import Joints
from vla_sae_ros.robot.kinematics import FrankaKinematics
from vla_sae_ros.robot.limits import RobotLimits
from vla_sae_ros.robot.workspace import Workspace


@dataclass(frozen=True)
class Place:
    """Geometry that needs forward kinematics."""

    kinematics: FrankaKinematics
    workspace: Workspace
    max_ee_step: float
    """[m] per tick for the tool point."""


@dataclass(frozen=True)
class Payload:
    """A load that the robot has to carry in its gravity compensation."""

    mass: float
    """[kg]"""
    centre: npt.NDArray[np.float64]
    """(3,) [m] centre of mass in the flange's frame."""
    inertia: npt.NDArray[np.float64]
    """(3,) [kg m^2] about the centre's axes."""


@dataclass(frozen=True)
class RobotSettings:
    """One robot in one lab."""

    robot: str
    """Model, e.g. "panda"; RobotState.robot."""
    published: RobotLimits
    """What the maker allows."""
    limits: RobotLimits
    """What we allow: the published limits, scaled."""
    margin: float
    """[rad] that commands stay away from both ends of every joint's range."""
    max_joint_step: float
    """[rad] by which a target may lead the measured joint."""
    max_tracking_error: float
    """[rad] between what was sent and what is measured; beyond, the arm is stopped."""
    place: Place | None
    """None: an arm without kinematics here; box, table and tool step are not guarded."""
    rate: float
    """[Hz] of control ticks."""
    watchdog: float
    """[s] after the last valid command at which the arm is stopped."""
    max_reading_age: float
    """[s] that a joint state may be old."""
    lease: float
    """[s] that an enable lasts without a renewal, at most."""
    steering_slew: float
    """[rad/s] at which a new steering revision may change how far targets lead the joints."""
    reset_pose: Joints
    """(N,) [rad]"""
    reaction: float = 0.0
    """[s] by which the arm brakes later than it is told, in any mode; kept free at edges."""
    payload: Payload | None = None
    """What hangs on the flange and the robot does not know of; None: nothing is said to it."""
    max_frozen: float = 0.14
    """[s] for which a commanded arm's states may repeat the same values to the last bit."""
    max_stuck: float = 1.0
    """[s] for which an arm that is far behind its target may get no nearer to it."""

    @property
    def joints(self) -> int:
        """Number of joints, N."""
        return len(self.limits.lower)

    @property
    def period(self) -> float:
        """[s] between two ticks."""
        return 1.0 / self.rate
