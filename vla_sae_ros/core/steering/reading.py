"""Steering messages read back into the core's values.

Messages are read by attribute, so live messages and those from a recorded bag give the same values
and nothing here imports ROS.
"""

from __future__ import annotations

import math
from enum import IntEnum
from typing import Any

from vla_sae_ros.core.errors import ConfigurationError, SteeringRefused, complaint
from vla_sae_ros.core.steering.condition import FEATURE, Condition
from vla_sae_ros.core.steering.control import Control
from vla_sae_ros.core.steering.edit import Edit, Mode, Unit
from vla_sae_ros.core.steering.slot import Phase
from vla_sae_ros.core.steering.snapshot import StandingEdit, StateView

NANOSECONDS = 1e9


def to_edit(message: Any) -> Edit:
    """Return the edit in a SteeringEdit.

    Raises:
        SteeringRefused: a mode or unit that does not exist, or a condition or a controller that
            cannot be.
    """
    return Edit(
        feature=int(message.feature),
        mode=_known(Mode, message.mode),
        value=float(message.value),
        site=message.site,
        unit=_known(Unit, message.unit),
        token_groups=tuple(message.token_groups),
        denoising_steps=tuple(int(step) for step in message.denoising_steps),
        ramp=float(message.ramp),
        duration=float(message.duration),
        window=(float(message.window_start), float(message.window_end)),
        hold=bool(message.hold),
        when=to_condition(getattr(message, "when", None)),
        control=to_control(getattr(message, "control", None)),
    )


def to_condition(message: Any) -> Condition | None:
    """Return the condition of an edit; none where nothing is read, and in older bags.

    Raises:
        SteeringRefused: one that cannot be.
    """
    if message is None or not message.reading:
        return None
    is_feature, threshold = message.reading == FEATURE, float(message.threshold)
    try:
        return Condition(
            message.reading,
            message.site,
            int(message.index) if is_feature else 0,
            0 if is_feature else int(message.index),
            None if message.below else threshold,
            threshold if message.below else None,
            float(message.hysteresis),
            float(message.hold),
        )
    except ConfigurationError as error:
        raise SteeringRefused(str(error)) from error


def to_control(message: Any) -> Control | None:
    """Return the controller of an edit; none where nothing is read, and in older bags.

    Raises:
        SteeringRefused: one that cannot be.
    """
    if message is None or not message.reading:
        return None
    is_feature = message.reading == FEATURE
    try:
        return Control(
            reading=message.reading,
            site=message.site,
            feature=int(message.index) if is_feature else 0,
            number=0 if is_feature else int(message.index),
            at=float(message.at),
            kp=float(message.kp),
            ki=float(message.ki),
            bounds=(float(message.low), float(message.high)),
            slew=float(message.slew),
        )
    except ConfigurationError as error:
        raise SteeringRefused(str(error)) from error


def to_view(message: Any) -> StateView:
    """Return the state in a SteeringState.

    Raises:
        SteeringRefused: a mode, unit or phase that does not exist.
    """
    stamp = message.header.stamp
    return StateView(
        int(message.revision),
        bool(message.bypass),
        float(message.cap),
        float(message.slew_limit),
        stamp.sec + stamp.nanosec / NANOSECONDS,
        tuple(_standing(edit) for edit in message.edits),
        policy_start_of(message),
        getattr(message, "injection", ""),
    )


def policy_start_of(message: Any) -> int:
    """Return when the policy began to serve that a message is of [ns]; 0 in bags of versions that
    did not tell."""
    return int(getattr(message, "policy_start", 0))


def _standing(message: Any) -> StandingEdit:
    reads = [
        float(getattr(message, name, math.nan)) for name in ("condition_reading", "control_reading")
    ]
    return StandingEdit(
        to_edit(message.edit),
        message.owner,
        _known(Phase, message.phase),
        float(message.commanded),
        float(message.applied),
        float(message.weight),
        float(message.lease_remaining),
        *(None if math.isnan(read) else read for read in reads),
    )


def _known[Kind: IntEnum](kind: type[Kind], number: int) -> Kind:
    try:
        return kind(number)
    except ValueError as error:
        what = f"unknown {kind.__name__.lower()}"
        raise SteeringRefused(complaint(what, number, {k.name: int(k) for k in kind})) from error
