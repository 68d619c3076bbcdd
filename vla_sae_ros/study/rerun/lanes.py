"""States over time: the episode's status, who commands, what was told, and each edit that acts."""

from __future__ import annotations

from typing import Any

import rerun as rr

from vla_sae_ros.bags.timeline import commander_of
from vla_sae_ros.core.commander import Commander
from vla_sae_ros.core.episode_status import EpisodeStatus
from vla_sae_ros.core.one_line import one_line
from vla_sae_ros.study.bag_commands.edits import EditWindow, acting_edits

LANES = "lanes"
"""The entity that all lanes lie below."""

_UNITS = {"NATURAL": "", "OBSERVED_MAX": " x max", "RESIDUAL_NORM": " x norm"}
_NOTHING = ""  # the viewer draws no bar for it

Lane = tuple[str, ...]


class Lanes:
    """Of one recording; only changes are logged."""

    def __init__(self, stream: rr.RecordingStream) -> None:
        self._stream = stream
        self._states: dict[Lane, str] = {}

    def episode(self, message: Any) -> None:
        """Draw an EpisodeState."""
        self._set(("status",), EpisodeStatus(message.status).name.lower())
        self._set(("instruction",), one_line(message.instruction))

    def commander(self, message: Any) -> None:
        """Draw who commanded an ExecutedAction."""
        commander = commander_of(message)
        held = " (held)" if message.held and commander is not Commander.HOLD else ""
        self._set(("commander",), f"{commander.name.lower()}{held}")

    def steering(self, message: Any) -> None:
        """Draw the edits that act in a SteeringState."""
        acting = {_lane(each): _words(each) for each in acting_edits(message)}
        gone = [lane for lane in self._states if lane[0] == "steering" and lane not in acting]
        for lane in gone:
            self._set(lane, _NOTHING)
        for lane, words in acting.items():
            self._set(lane, words)

    def _set(self, lane: Lane, state: str) -> None:
        if self._states.get(lane, _NOTHING) != state:
            self._states[lane] = state
            self._stream.log([LANES, *lane], rr.StateChange(state=state))


def _lane(edit: EditWindow) -> Lane:
    if not edit.site:
        return "steering", "bypass"
    if edit.mode == "INJECTION":
        return "steering", edit.site, "injection"
    return "steering", edit.site, str(edit.feature)


def _words(edit: EditWindow) -> str:
    mode = edit.mode.lower().replace("_", " ")
    if edit.mode in ("BYPASS", "INJECTION"):
        return mode
    value = "" if edit.mode == "PROJECT_OUT" else f" {edit.value:g}{_UNITS.get(edit.unit, '')}"
    return one_line(f"{mode}{value}, {edit.owner}")
