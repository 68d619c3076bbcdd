"""What in the robot's own state forbids to move it."""

from __future__ import annotations

import numpy as np

from vla_sae_ros.robot.driver import RobotReading
from vla_sae_ros.robot.reasons import FAULTS, Stop
from vla_sae_ros.robot.settings import RobotSettings

Problem = tuple[Stop, str]
"""A stop, and the same in words with the values."""


def fault_of(reading: RobotReading) -> Problem | None:
    """Return the fault that the driver reports, or None."""
    if not reading.fault:
        return None
    stop = Stop(reading.fault) if reading.fault in FAULTS else Stop.DRIVER_ERROR
    return stop, reading.detail or reading.fault


def problem_of(reading: RobotReading, settings: RobotSettings, now: float) -> Problem | None:
    """Return why the arm must not be moved on this reading, or None."""
    fault = fault_of(reading)
    if fault is not None:
        return fault
    q, dq, size = reading.q, reading.dq, settings.joints
    if q.shape != (size,) or dq.shape != (size,):
        return Stop.BAD_READING, f"joint state of shape {q.shape}, {dq.shape}; expected ({size},)"
    if not (np.isfinite(q).all() and np.isfinite(dq).all()):
        return Stop.BAD_READING, "joint state with NaN or infinity"
    age = now - reading.stamp
    if not age <= settings.max_reading_age:
        limit = settings.max_reading_age
        return Stop.STALE_READING, f"joint state is {age:.3f} s old; allowed: {limit:g} s"
    beyond = np.maximum(settings.published.lower - q, q - settings.published.upper)
    joint = int(np.argmax(beyond))
    if beyond[joint] > 0:
        return Stop.JOINT_RANGE, f"joint {joint + 1} is at {q[joint]:.3f} rad, outside its range"
    return None
