"""From a robot's reflex flags to the name of a stop."""

from __future__ import annotations

from vla_sae_ros.robot.driver import RobotFault, RobotUnreachable
from vla_sae_ros.robot.reasons import Stop

COLLISIONS = {"joint_reflex", "cartesian_reflex"}
COMMUNICATION = {"communication_constraints_violation"}
USER_STOP = "user_stop"
"""Not a flag of libfranka, which has a mode for it; drivers use it as one."""


def stop_for_flags(flags: tuple[str, ...]) -> Stop:
    """Return the stop that libfranka's error flags stand for."""
    if USER_STOP in flags:
        return Stop.USER_STOP
    if COLLISIONS & set(flags):
        return Stop.COLLISION_REFLEX
    if COMMUNICATION & set(flags):
        return Stop.COMM_LOSS
    return Stop.REFLEX


def stop_for_error(error: Exception) -> tuple[Stop, str]:
    """Return the stop that an exception of a driver stands for, and its text."""
    if isinstance(error, RobotFault):
        return stop_for_flags(error.flags), str(error)
    if isinstance(error, RobotUnreachable):
        return Stop.DISCONNECTED, str(error)
    return Stop.DRIVER_ERROR, repr(error)
