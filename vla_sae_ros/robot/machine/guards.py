"""Why a transition may be refused: each returns the refusal in words, empty when it may go on."""

from __future__ import annotations

import math
from collections.abc import Callable

from vla_sae_ros.core.errors import complaint
from vla_sae_ros.robot.machine.events import Event
from vla_sae_ros.robot.machine.facts import Memory

Guard = Callable[[Memory, Event, float], str]
"""(memory, event, longest lease [s]) -> refusal."""


def named(_memory: Memory, event: Event, _longest: float) -> str:
    """Nobody without a name owns an arm."""
    return (
        ""
        if event.owner.strip()
        else complaint("owner of the request to enable", event.owner, "a name")
    )


def short_lease(_memory: Memory, event: Event, longest: float) -> str:
    """A lease is finite, so that silence ends it soon."""
    if math.isfinite(event.lease) and 0 < event.lease <= longest:
        return ""
    return complaint(
        "lease [s] of the request to enable", event.lease, f"above 0, up to {longest:g}"
    )


def asked_after_stop(memory: Memory, event: Event, _longest: float) -> str:
    """A stop voids everything that was asked for before it."""
    if event.asked > memory.last_stop:
        return ""
    return (
        f"The arm was stopped after this {event.kind} was requested. Check the arm, then request "
        "it again."
    )


def asked_after_hold(memory: Memory, event: Event, _longest: float) -> str:
    """So does a disable, and a recovery, with an enable."""
    if event.asked > memory.last_hold:
        return ""
    return "The arm was stopped or disabled after this enable was requested. Request it again."


def asked_after_switch(memory: Memory, event: Event, _longest: float) -> str:
    """Who asks later to take over or to hand back wins."""
    if event.asked > memory.last_switch:
        return ""
    return (
        f"A takeover or hand-back that was requested later came first. Request this {event.kind} "
        "again."
    )


def not_going_back(memory: Memory, _event: Event, _longest: float) -> str:
    """A joint beyond its range is moved by the bridge alone."""
    if not memory.going_back:
        return ""
    return (
        "The bridge is moving the joints back into their range. Enable the arm when it has "
        "finished."
    )


def stands(memory: Memory, _event: Event, _longest: float) -> str:
    """A motion begins from rest."""
    if not memory.arm.braking:
        return ""
    return "The arm is still braking. Enable it when it has stopped."


def fresh(memory: Memory, _event: Event, _longest: float) -> str:
    """Where the arm stands is known."""
    return "" if memory.arm.fresh else "There is no fresh joint state from the arm."


def no_fault(memory: Memory, _event: Event, _longest: float) -> str:
    """The robot itself is ready."""
    return memory.arm.fault and f"The robot still reports a fault: {memory.arm.fault}"


def admitted(memory: Memory, _event: Event, _longest: float) -> str:
    """Place, joints, mode and rivals allow it."""
    return memory.arm.blocked


def by_owner(memory: Memory, event: Event, _longest: float) -> str:
    """An enable belongs to one client."""
    if event.owner == memory.owner:
        return ""
    return f"The arm is enabled by {memory.owner!r}, which must disable it first."


def driver_free(memory: Memory, _event: Event, _longest: float) -> str:
    """One recovery at a time."""
    if not memory.driver_busy:
        return ""
    return "The driver is still busy with the last recovery. Request it again when that has ended."
