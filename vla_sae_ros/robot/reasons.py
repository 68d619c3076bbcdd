"""Short names of what the envelope does: RobotCommand.limits and .refused, RobotState.reason."""

from __future__ import annotations

from enum import IntEnum, StrEnum


class Status(IntEnum):
    """RobotState.status."""

    OFFLINE = 0
    DISABLED = 1
    ENABLED = 2
    STOPPED = 3


class Limit(StrEnum):
    """What changed a command that was sent."""

    STEERING_SLEW = "steering_slew"
    JOINT_STEP = "joint_step"
    JOINT_MARGIN = "joint_margin"
    VELOCITY = "velocity"
    ACCELERATION = "acceleration"
    JERK = "jerk"
    EE_STEP = "ee_step"
    WORKSPACE = "workspace"


class Refused(StrEnum):
    """Why a command went nowhere. The arm brakes within its limits or, when disabled, is left."""

    OFFLINE = "offline"
    DISABLED = "disabled"
    STOPPED = "stopped"
    STALE = "stale"
    SHAPE = "shape"
    NOT_FINITE = "not_finite"
    RANGE = "range"
    NOT_IN_CHARGE = "not_in_charge"
    """Of the policy while a person has taken over, or of a person while nobody has."""


class Stop(StrEnum):
    """Why the envelope latched: `recover`, then `enable`, to go on."""

    OPERATOR_STOP = "operator_stop"
    LEASE_EXPIRED = "lease_expired"
    STALE_COMMAND = "stale_command"
    STALE_READING = "stale_reading"
    BAD_READING = "bad_reading"
    WORKSPACE = "workspace"
    JOINT_RANGE = "joint_range"
    LATE_TICK = "late_tick"
    TRACKING_ERROR = "tracking_error"
    COLLISION_REFLEX = "collision_reflex"
    REFLEX = "reflex"
    COMM_LOSS = "comm_loss"
    USER_STOP = "user_stop"
    CONTROL_LOST = "control_lost"
    DISCONNECTED = "disconnected"
    DRIVER_ERROR = "driver_error"
    SOURCE_ERROR = "source_error"


FAULTS = frozenset(
    {
        Stop.COLLISION_REFLEX,
        Stop.REFLEX,
        Stop.COMM_LOSS,
        Stop.USER_STOP,
        Stop.CONTROL_LOST,
        Stop.DISCONNECTED,
        Stop.DRIVER_ERROR,
    }
)
"""Stops that a driver reports (RobotReading.fault)."""
