"""From the steering core's values to the wire's messages; `core.steering` reads them back."""

from __future__ import annotations

import math
from array import array

from std_msgs.msg import Header

from vla_sae_ros.core.errors import bounded
from vla_sae_ros.core.steering import Condition, Control, Edit, Event, StandingEdit, StateView
from vla_sae_ros.core.steering.condition import FEATURE
from vla_sae_ros.msg import (
    SteeringCondition,
    SteeringControl,
    SteeringEdit,
    SteeringEditState,
    SteeringEvent,
    SteeringState,
)
from vla_sae_ros.wire.conversions import NANOSECONDS, to_header

LONGEST_NAME = 200
"""Characters of an owner's name in an event."""


def from_edit(edit: Edit) -> SteeringEdit:
    """Return the message of an edit."""
    return SteeringEdit(
        site=edit.site,
        feature=edit.feature,
        mode=int(edit.mode),
        unit=int(edit.unit),
        value=edit.value,
        token_groups=list(edit.token_groups),
        denoising_steps=array("i", edit.denoising_steps),
        ramp=edit.ramp,
        duration=edit.duration,
        window_start=edit.window[0],
        window_end=edit.window[1],
        hold=edit.hold,
        when=_from_condition(edit.when),
        control=_from_control(edit.control),
    )


def _from_condition(when: Condition | None) -> SteeringCondition:
    if when is None:
        return SteeringCondition()
    return SteeringCondition(
        reading=when.reading,
        site=when.site,
        index=when.feature if when.reading == FEATURE else when.number,
        below=when.above is None,
        threshold=when.threshold,
        hysteresis=when.hysteresis,
        hold=when.hold,
    )


def _from_control(control: Control | None) -> SteeringControl:
    if control is None:
        return SteeringControl()
    return SteeringControl(
        reading=control.reading,
        site=control.site,
        index=control.feature if control.reading == FEATURE else control.number,
        at=control.at,
        kp=control.kp,
        ki=control.ki,
        low=control.bounds[0],
        high=control.bounds[1],
        slew=control.slew,
    )


def from_state(view: StateView, policy_start_ns: int = 0) -> SteeringState:
    """Return the message of the whole state, stamped with the observation it was evaluated for."""
    stamp_ns = round(view.observation_time * NANOSECONDS)
    return SteeringState(
        header=to_header(stamp_ns),
        revision=view.revision,
        bypass=view.bypass,
        cap=view.cap,
        slew_limit=view.slew_limit,
        edits=[_from_standing(edit) for edit in view.edits],
        policy_start=policy_start_ns,
        injection=view.injection,
    )


def from_event(
    event: Event, header: Header, policy_start_ns: int = 0, asked_by: str = ""
) -> SteeringEvent:
    """Return the message of one line of the audit trail, its texts bounded.

    asked_by: the node that asked for the change, see `Callers`; empty = nobody did.
    """
    return SteeringEvent(
        header=header,
        revision=event.revision,
        kind=int(event.kind),
        owner=bounded(event.owner, LONGEST_NAME),
        site=event.site,
        feature=event.feature,
        from_value=event.from_value,
        to_value=event.to_value,
        reason=bounded(event.reason),
        policy_start=policy_start_ns,
        node=asked_by,
    )


def _from_standing(standing: StandingEdit) -> SteeringEditState:
    reads = standing.condition_reading, standing.control_reading
    condition, control = (math.nan if read is None else read for read in reads)
    return SteeringEditState(
        edit=from_edit(standing.edit),
        owner=standing.owner,
        phase=int(standing.phase),
        commanded=standing.commanded,
        applied=standing.applied,
        weight=standing.weight,
        lease_remaining=standing.lease_remaining,
        condition_reading=condition,
        control_reading=control,
    )
