"""Every interleaving of requests, driver outcomes and the arm's own doings, up to a depth.

A world is a machine, the requests that were asked for and not served yet, and what an outsider
knows: which stop, hold, recovery and enable was asked for in which order. Worlds that differ in
nothing but the size of their tickets are one.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from vla_sae_ros.robot.machine.events import Action, Event, Kind, Verdict
from vla_sae_ros.robot.machine.machine import Machine
from vla_sae_ros.robot.machine.states import State
from vla_sae_ros.robot.machine.table import TABLE, Row
from vla_sae_ros.robot.reasons import Stop

LONGEST = 1.0
CLIENTS = ("a", "b")
SWITCHES = (Kind.TAKE_OVER, Kind.HAND_BACK)
ASKABLE = (Kind.ENABLE, Kind.DISABLE, Kind.STOP, Kind.RECOVER, *SWITCHES)
OWNED = (Kind.ENABLE, *SWITCHES)
"""Requests that say who asks."""


MOVING = (State.ENABLED, State.TAKEN_OVER)
"""States in which the arm is commanded."""


class Violated(AssertionError):
    """An invariant does not hold."""


@dataclass
class World:
    """A machine and an outsider's memory of what was said and done."""

    machine: Machine
    here: bool = False
    lease: bool = False
    """The owner is heard of."""
    calling: bool = False
    """The driver works at a recovery, however long it takes."""
    waiting: tuple[Event, ...] = ()
    ticket: int = 0
    stop: int = 0
    """Ticket of the last stop that was asked for."""
    obeyed: int = 0
    """Of the last stop that was answered."""
    hold: int = 0
    """Of the last hold that was answered."""
    recovered: int = 0
    """Of the last recovery that was told "recovered"."""
    armed: int = 0
    """Of the enable that the owner holds; 0: nobody was told that he holds one."""
    holder: str = ""
    asker: int | None = None
    """Ticket of the recovery that waits for its answer."""
    moving: bool = False
    """Something was sent and the driver was not told to stop since."""
    switched: int = 0
    """Ticket of the last takeover or hand-back that was acknowledged."""
    by_hand: bool = False
    """The holder was told that he has taken over, and not that he handed back."""
    way_back: bool = False
    """The enable is for the bridge's own way back."""
    stopped: bool = False
    """A stop has had its effect and no recovery since."""

    def key(self) -> tuple[object, ...]:
        """Return what distinguishes this world, with tickets by their rank."""
        memory = self.machine.memory
        tickets = (
            memory.last_stop,
            memory.last_hold,
            memory.last_switch,
            self.switched,
            -1 if memory.recovering is None else memory.recovering,
            self.stop,
            self.obeyed,
            self.hold,
            self.recovered,
            self.armed,
            -1 if self.asker is None else self.asker,
            *(event.asked for event in self.waiting),
        )
        rank = {ticket: place for place, ticket in enumerate(sorted(set(tickets)))}
        arm = memory.arm
        return (
            memory.state,
            memory.owner,
            memory.reason is None,
            memory.driver_busy,
            (arm.braking, arm.fault, arm.blocked),  # `fresh` is `here` at an enable
            (self.here, self.lease, self.calling, self.holder, self.moving, self.stopped),
            (self.by_hand, self.way_back, memory.going_back),
            tuple(event.kind for event in self.waiting),
            tuple(rank[ticket] for ticket in tickets),
            self.asker is None,
            memory.recovering is None,
        )


Step = tuple[str, object]


def steps(world: World, waiting: int) -> Iterator[Step]:
    """Yield everything that may happen next; up to `waiting` requests are under way at once."""
    arm = world.machine.memory.arm
    if len(world.waiting) < waiting:
        yield from (("ask", Event(kind, owner="a", lease=0.5)) for kind in ASKABLE)
    for place in range(len(world.waiting)):
        yield "serve", place
    for kind in ASKABLE:  # the same at once: most requests are served before the next one comes
        names = CLIENTS if kind in OWNED else ("",)
        yield from (("do", Event(kind, owner=name, lease=0.5)) for name in names)
    yield "do", Event(Kind.ENABLE, owner=" ", lease=0.5)
    yield "do", Event(Kind.ENABLE, owner="a", lease=math.inf)
    yield "do", Event(Kind.ENABLE, owner="a", lease=0.5, way_back=True)
    yield from (("beat", (name, 0.5)) for name in CLIENTS)
    yield "beat", ("a", math.inf)
    if world.calling:
        yield from (("call ends", True), ("call ends", False))
        if world.asker is not None:
            yield "call is late", None
    yield "appears" if not world.here else "vanishes", None
    if world.lease:
        yield "lease ends", None
    yield "fault", "" if arm.fault else "user_stop"
    yield "blocked", "" if arm.blocked else "guiding"
    if arm.braking:
        yield "rests", None
    yield "tick", None


def happen(world: World, step: Step) -> World:
    """Return the world after a step; raises Violated."""
    what, about = step
    after = replace(world, machine=_copy(world.machine))
    if what in ("ask", "do"):
        assert isinstance(about, Event)
        after.ticket += 1
        event = replace(about, asked=after.ticket)
        if event.kind is Kind.STOP:
            after.stop = after.ticket
        if what == "do":
            _serve(after, event)
        else:
            after.waiting = (*after.waiting, event)
    elif what == "serve":
        assert isinstance(about, int)
        event = after.waiting[about]
        after.waiting = after.waiting[:about] + after.waiting[about + 1 :]
        _serve(after, event)
    else:
        _other(after, what, about)
    _check(after)
    return after


def _other(world: World, what: str, about: object) -> None:
    machine, arm = world.machine, world.machine.memory.arm
    if what == "beat":
        assert isinstance(about, tuple)
        name, lease = about
        verdict = machine.handle(Event(Kind.RENEW, owner=name, lease=lease))
        if not verdict.refusal:
            _hold(world, name == world.holder, "a heartbeat of another client keeps the arm")
            _hold(world, lease <= LONGEST, "a heartbeat without an end")
            world.lease = True
    elif what == "call ends":
        world.calling = False
        _obey(world, machine.handle(Event(Kind.RECOVERED if about else Kind.FAILED, detail="x")))
    elif what == "call is late":
        _obey(world, machine.handle(Event(Kind.LATE)))
    elif what == "appears":
        world.here = True
        _obey(world, machine.handle(Event(Kind.APPEARED)))
    elif what == "vanishes":
        world.here = False
        _look(world)
    elif what == "lease ends":
        world.lease = False
        _look(world)
    elif what == "fault":
        arm.fault = str(about)
        _look(world)
    elif what == "blocked":
        arm.blocked = str(about)
        _look(world)
    elif what == "rests":
        arm.braking = False
    else:
        _tick(world)


def _look(world: World) -> None:
    """What the envelope does between ticks: trouble is an event, absence of an idle arm another."""
    machine, arm = world.machine, world.machine.memory.arm
    enabled = machine.state in MOVING
    bad = not world.here or not world.lease or arm.blocked if enabled else False
    if (enabled and bad) or arm.fault:
        _obey(world, machine.handle(Event(Kind.TROUBLE, reason=Stop.USER_STOP, detail="x")))
    elif not world.here:
        _obey(world, machine.handle(Event(Kind.VANISHED)))


def _tick(world: World) -> None:
    """Send, if the machine says that the arm is enabled and no newer stop was asked for."""
    if world.machine.state not in MOVING:
        return
    if world.stop > world.machine.memory.last_stop:
        return  # loop.cycle asks the inbox before it sends
    _hold(world, not world.stopped, "something is sent after a stop")
    _hold(world, world.armed > world.stop, "something is sent for an enable from before the stop")
    _hold(world, world.lease and world.here, "something is sent without a lease or a fresh state")
    _hold(world, not world.machine.memory.arm.braking, "a motion begins while the arm brakes")
    by_hand = world.machine.state is State.TAKEN_OVER
    _hold(world, by_hand == world.by_hand, "the one moves the arm, the other was told to")
    _hold(world, not (by_hand and world.way_back), "a person moves an arm on its way back")
    world.moving = True


def _serve(world: World, event: Event) -> None:
    machine = world.machine
    before = machine.memory.owner
    machine.memory.arm.fresh = world.here
    verdict = machine.handle(event)
    if event.kind is Kind.ENABLE and not verdict.refusal:
        _hold(world, machine.memory.owner == event.owner, "an enable is granted to another")
        _hold(world, before in ("", event.owner), "an enable takes the arm away")
        _hold(world, event.asked > world.hold, "an enable undoes a hold that came after it")
        _hold(world, event.asked > world.obeyed, "an enable undoes a stop that came after it")
        _hold(world, event.lease <= LONGEST, "an enable without an end")
        arm = machine.memory.arm
        if not before:
            _hold(world, Action.BEGIN in verdict.actions, "it goes on where it was long ago")
            _hold(world, not arm.fault and not arm.blocked, "an arm that is not ready is enabled")
        if not before:
            world.by_hand, world.way_back = False, event.way_back
        world.holder, world.armed, world.lease = event.owner, event.asked, True
    if event.kind in SWITCHES and not verdict.refusal:
        _switched(world, event, verdict)
    if event.kind is Kind.DISABLE:
        _hold(world, not verdict.refusal, "a hold is refused")
        world.hold = max(world.hold, event.asked)
    if event.kind is Kind.STOP:
        _hold(world, not verdict.refusal and machine.state is State.STOPPED, "a stop is refused")
        _hold(world, Action.BRAKE in verdict.actions, "a stop does not reach the driver")
        world.stopped, world.obeyed = True, max(world.obeyed, event.asked)
    if event.kind is Kind.RECOVER and not verdict.refusal:
        _hold(world, world.stopped or machine.memory.reason is not None, "recovers what runs")
        _hold(world, Action.RECOVER_DRIVER in verdict.actions, "nobody recovers the driver")
        _hold(world, not world.calling, "two recoveries of one driver")
        _hold(world, event.asked > world.obeyed, "a recovery from before the stop is begun")
        world.asker, world.calling = event.asked, True
    _obey(world, verdict)


def _switched(world: World, event: Event, verdict: Verdict) -> None:
    _hold(world, event.owner == world.holder, "somebody else takes over or hands back")
    if event.kind is Kind.TAKE_OVER:
        ended = max(world.hold, world.obeyed)
        _hold(world, event.asked > ended, "a takeover outlives the hold or stop that came after it")
    _hold(world, event.asked > world.switched, "an older takeover or hand-back undoes a newer one")
    _hold(world, Action.SWITCH in verdict.actions, "it goes on as if the other commanded")
    world.switched, world.by_hand = event.asked, event.kind is Kind.TAKE_OVER


def _obey(world: World, verdict: Verdict) -> None:
    """Do what a verdict says, as the control loop does."""
    machine = world.machine
    if Action.BRAKE in verdict.actions:
        machine.memory.arm.braking |= world.moving
        world.moving = False
    if machine.memory.reason is not None:
        world.stopped = True
    settled = verdict.settled
    if settled is None:
        return
    _hold(world, settled.asked == world.asker, "an answer to nobody")
    if not settled.refusal:
        _hold(world, settled.asked > world.obeyed, "recovered, although a stop came after it")
        _hold(world, machine.state is State.DISABLED, "recovered, and not disabled")
        _hold(world, not machine.memory.arm.fault, "recovered, and still at fault")
        world.recovered, world.stopped = settled.asked, False
    else:
        _hold(world, machine.state is State.STOPPED, "not recovered, and not stopped")
    world.asker = None


def _check(world: World) -> None:
    """What has to hold in every world."""
    machine = world.machine
    memory, enabled = machine.memory, machine.state in MOVING
    _hold(world, enabled == bool(memory.owner.strip()), "enabled and without an owner, or not")
    _hold(world, bool(memory.owner) == enabled, "an owner of an arm that is not enabled")
    latched = machine.state in (State.STOPPED, State.RECOVERING)
    _hold(world, (memory.reason is not None) == latched, "a latch without a reason, or not")
    _hold(world, world.stopped == latched, "a stop is forgotten")
    if enabled:
        _hold(world, memory.owner == world.holder, "the arm belongs to somebody who was not told")
        _hold(world, world.lease and world.here, "enabled without a lease or a fresh state")
        _hold(world, not memory.arm.fault and not memory.arm.blocked, "enabled and not ready")
        _hold(world, world.armed > world.recovered, "enabled before it was recovered")
        taken = machine.state is State.TAKEN_OVER
        _hold(world, taken == world.by_hand, "the policy or the person commands, untold")
    else:
        _hold(world, not world.moving, "the driver follows an arm that is not enabled")
    _hold(world, memory.driver_busy == world.calling, "the driver works, or not, unknown to it")
    waits = machine.state is State.RECOVERING
    _hold(world, waits == (world.asker is not None), "somebody waits for ever for an answer")
    _hold(world, memory.recovering == world.asker, "the wrong one waits for an answer")


def _hold(world: World, true: bool, otherwise: str) -> None:
    if not true:
        raise Violated(f"{otherwise}; in {world.machine.memory}")


def _copy(machine: Machine) -> Machine:
    twin = copy.copy(machine)
    twin.memory = replace(machine.memory, arm=replace(machine.memory.arm))
    return twin


@dataclass
class Explored:
    """How much was looked at."""

    states: int = 0
    transitions: int = 0
    depth: int = 0
    """Steps from the beginning at which no new world was found any more, or the limit."""
    complete: bool = False
    seconds: float = 0.0
    reached: set[State] = field(default_factory=set)


def explore(rows: Sequence[Row] = TABLE, depth: int = 100, waiting: int = 1) -> Explored:
    """Walk every interleaving, breadth first; raises Violated at the first wrong one."""
    began = time.perf_counter()
    first = World(Machine(LONGEST, rows))
    seen, found = {first.key()}, Explored()
    edge = [first]
    while edge and found.depth < depth:
        found.depth += 1
        further: list[World] = []
        for world in edge:
            for step in steps(world, waiting):
                after = happen(world, step)
                found.transitions += 1
                key = after.key()
                if key not in seen:
                    seen.add(key)
                    found.reached.add(after.machine.state)
                    further.append(after)
        edge = further
    found.states, found.complete = len(seen), not edge
    found.seconds = time.perf_counter() - began
    return found
