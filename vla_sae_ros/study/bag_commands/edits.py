"""Who steered what, and when: the windows in which an edit of a bag acted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from vla_sae_ros.bags.timeline import Timeline, name_of, stamp_of

_MODES = ("CLAMP", "ADD", "SCALE", "PROJECT_OUT")
_UNITS = ("NATURAL", "OBSERVED_MAX", "RESIDUAL_NORM")


@dataclass(frozen=True)
class EditWindow:
    """A time in which one edit acted (weight > 0), steering was bypassed or a stream injected."""

    owner: str
    """Empty for a bypass and an injection: the steering state does not say whose they are;
    steering/events does."""
    site: str
    feature: int
    mode: str
    """CLAMP, ADD, SCALE, PROJECT_OUT, BYPASS or INJECTION; UNKNOWN_<number> for one that is not
    known."""
    unit: str
    """NATURAL, OBSERVED_MAX or RESIDUAL_NORM."""
    value: float
    since_ns: int
    """Time of reception of the first state that shows it."""
    until_ns: int | None = None
    """Of the first one that does not; None: it acted to the bag's end."""
    episode_id: str = ""
    """In which it began; empty outside an episode."""
    first_step: int = -1
    """At which it began; -1 outside an episode."""
    last_step: int = -1
    """At which it ended, exclusive; -1 when that lies in no episode, or in another one."""


def edit_windows(states: list[tuple[int, Any]], timeline: Timeline) -> list[EditWindow]:
    """Return the windows of every SteeringState of a bag, in the order of their beginning.

    Args:
        states: (time of reception [ns], message), in order.
        timeline: of the same bag.
    """
    open_ones: dict[EditWindow, EditWindow] = {}
    closed: list[EditWindow] = []
    for received, state in states:
        place = timeline.place(stamp_of(state), received) or ("", -1)
        acting = dict.fromkeys(acting_edits(state))
        for key in acting.keys() - open_ones.keys():
            open_ones[key] = replace(
                key, since_ns=received, episode_id=place[0], first_step=place[1]
            )
        for key in open_ones.keys() - acting.keys():
            window = open_ones.pop(key)
            step = place[1] if place[0] == window.episode_id else -1
            closed.append(replace(window, until_ns=received, last_step=step))
    return sorted([*closed, *open_ones.values()], key=lambda window: window.since_ns)


def acting_edits(state: Any) -> Iterator[EditWindow]:
    """Yield everything that acts in a SteeringState, a bypass too, without its time."""
    if state.bypass:
        yield EditWindow("", "", 0, "BYPASS", "", 0.0, since_ns=0)
    elif injection := getattr(state, "injection", ""):  # older bags have no such field
        yield EditWindow("", injection, 0, "INJECTION", "", 0.0, since_ns=0)
    for each in state.edits:
        edit = each.edit
        if each.weight > 0:
            yield EditWindow(
                each.owner,
                edit.site,
                edit.feature,
                name_of(edit, _MODES, edit.mode),
                name_of(edit, _UNITS, edit.unit),
                round(float(edit.value), 6),
                since_ns=0,
            )
