"""Every transition of an arm, on one page. docs/robot.md draws it.

The first row whose states and kind fit decides. A guard that refuses leaves everything as it is,
unless the row names an `otherwise`; an event without a row is refused by `REFUSALS`.
"""

from __future__ import annotations

from dataclasses import dataclass

from vla_sae_ros.robot.machine import effects as do
from vla_sae_ros.robot.machine import guards as only
from vla_sae_ros.robot.machine.effects import Effect
from vla_sae_ros.robot.machine.events import Action, Kind
from vla_sae_ros.robot.machine.guards import Guard
from vla_sae_ros.robot.machine.states import State

OFFLINE, DISABLED, ENABLED = State.OFFLINE, State.DISABLED, State.ENABLED
TAKEN_OVER, STOPPED, RECOVERING = State.TAKEN_OVER, State.STOPPED, State.RECOVERING
ANY = frozenset(State)
BRAKE, BEGIN, RECOVER_DRIVER = Action.BRAKE, Action.BEGIN, Action.RECOVER_DRIVER
SWITCH = Action.SWITCH


@dataclass(frozen=True)
class Row:
    """In one of these states, at an event of this kind, if no guard refuses."""

    states: frozenset[State]
    kind: Kind
    to: State | None
    """None: the state stays."""
    guards: tuple[Guard, ...] = ()
    effects: tuple[Effect, ...] = ()
    actions: tuple[Action, ...] = ()
    otherwise: State | None = None
    """Where a refusal leads, if anywhere."""


def _in(*states: State) -> frozenset[State]:
    return frozenset(states)


# fmt: off
TABLE = (
    # STOP wins from every state, and voids what was asked for before it.
    Row(ANY, Kind.STOP, STOPPED,
        effects=(do.void_requests, do.latch, do.disown), actions=(BRAKE,)),
    Row(_in(DISABLED, ENABLED, TAKEN_OVER), Kind.TROUBLE, STOPPED,
        effects=(do.latch, do.disown), actions=(BRAKE,)),

    # One owner moves the arm, from rest, while it is heard of.
    Row(_in(DISABLED), Kind.ENABLE, ENABLED,
        guards=(only.named, only.short_lease, only.asked_after_hold, only.fresh, only.no_fault,
                only.admitted, only.stands),
        effects=(do.own,), actions=(BEGIN,)),
    Row(_in(ENABLED, TAKEN_OVER), Kind.ENABLE, None,
        guards=(only.short_lease, only.asked_after_hold, only.by_owner)),
    Row(_in(ENABLED, TAKEN_OVER), Kind.RENEW, None, guards=(only.short_lease, only.by_owner)),
    Row(_in(ENABLED, TAKEN_OVER), Kind.DISABLE, DISABLED,
        effects=(do.void_enables, do.disown), actions=(BRAKE,)),
    Row(ANY, Kind.DISABLE, None, effects=(do.void_enables,)),

    # The owner takes over from the policy, and hands back; nobody else does either.
    Row(_in(ENABLED, TAKEN_OVER), Kind.TAKE_OVER, TAKEN_OVER,
        guards=(only.by_owner, only.asked_after_hold, only.asked_after_switch,
                only.not_going_back),
        effects=(do.void_switches,), actions=(SWITCH,)),
    Row(_in(ENABLED, TAKEN_OVER), Kind.HAND_BACK, ENABLED,
        guards=(only.by_owner, only.asked_after_switch),
        effects=(do.void_switches,), actions=(SWITCH,)),

    # A latch is taken back by a recovery that was asked for after the last stop.
    Row(_in(STOPPED), Kind.RECOVER, RECOVERING,
        guards=(only.asked_after_stop, only.driver_free),
        effects=(do.occupy_driver,), actions=(RECOVER_DRIVER,)),
    Row(_in(RECOVERING), Kind.RECOVERED, DISABLED, guards=(only.no_fault,),
        effects=(do.free_driver, do.unlatch), otherwise=STOPPED),
    Row(_in(RECOVERING), Kind.FAILED, STOPPED, effects=(do.free_driver,)),
    Row(_in(RECOVERING), Kind.LATE, STOPPED),
    # Somebody pressed STOP meanwhile, or nobody waits any more: the stop stays.
    Row(ANY, Kind.RECOVERED, None, effects=(do.free_driver,)),
    Row(ANY, Kind.FAILED, None, effects=(do.free_driver,)),
    Row(ANY, Kind.LATE, None),

    # Fresh states come and go; a latch outlives both.
    Row(_in(OFFLINE), Kind.APPEARED, DISABLED),
    Row(_in(DISABLED), Kind.VANISHED, OFFLINE),
    Row(ANY, Kind.APPEARED, None),
    Row(ANY, Kind.VANISHED, None),
    Row(ANY, Kind.TROUBLE, None),
)
# fmt: on

REFUSALS = {
    (OFFLINE, Kind.ENABLE): "The arm is offline: there is no fresh joint state from it.{why}",
    (STOPPED, Kind.ENABLE): (
        "The arm is stopped ({reason}). Recover first (panel, or vla-sae run --robot --recover)."
    ),
    (RECOVERING, Kind.ENABLE): "The arm is recovering. Enable it when the recovery has ended.",
    (OFFLINE, Kind.RECOVER): "The arm is offline, not stopped: there is nothing to recover.{why}",
    (DISABLED, Kind.RECOVER): "The arm is not stopped: there is nothing to recover. Enable it.",
    (ENABLED, Kind.RECOVER): (
        "The arm is enabled by {owner!r} and not stopped: there is nothing to recover."
    ),
    (TAKEN_OVER, Kind.RECOVER): (
        "The arm is taken over by {owner!r} and not stopped: there is nothing to recover."
    ),
    (RECOVERING, Kind.RECOVER): "The arm is already recovering.",
    **{
        (state, kind): "The arm is {state}: only an enabled arm can be taken over or handed back."
        for state in (OFFLINE, DISABLED, STOPPED, RECOVERING)
        for kind in (Kind.TAKE_OVER, Kind.HAND_BACK)
    },
}
"""What is said to a request that has no row."""
