"""What a transition changes in a machine's memory."""

from __future__ import annotations

from collections.abc import Callable

from vla_sae_ros.robot.machine.events import Event
from vla_sae_ros.robot.machine.facts import Memory

Effect = Callable[[Memory, Event], None]


def own(memory: Memory, event: Event) -> None:
    """The arm belongs to who enabled it."""
    memory.owner, memory.going_back = event.owner, event.way_back


def disown(memory: Memory, _event: Event) -> None:
    """The arm belongs to nobody."""
    memory.owner = ""


def latch(memory: Memory, event: Event) -> None:
    """Remember why; of several stops in a row the first one is told."""
    if memory.reason is None:
        memory.reason, memory.detail = event.reason, event.detail
        memory.stops += 1


def unlatch(memory: Memory, _event: Event) -> None:
    """Forget why; an enable has to be asked for after the recovery was."""
    memory.reason, memory.detail = None, ""
    memory.last_hold = max(memory.last_hold, memory.recovering or 0)


def void_requests(memory: Memory, event: Event) -> None:
    """What was asked for before this stop is asked for in vain."""
    memory.last_stop = max(memory.last_stop, event.asked)


def void_enables(memory: Memory, event: Event) -> None:
    """Enables that were asked for before this disable are asked for in vain."""
    memory.last_hold = max(memory.last_hold, event.asked)


def void_switches(memory: Memory, event: Event) -> None:
    """Takeovers and hand-backs that were asked for before this one are asked for in vain."""
    memory.last_switch = max(memory.last_switch, event.asked)


def occupy_driver(memory: Memory, event: Event) -> None:
    """The driver works for this recovery."""
    memory.recovering, memory.driver_busy = event.asked, True


def free_driver(memory: Memory, _event: Event) -> None:
    """It has ended."""
    memory.driver_busy = False
