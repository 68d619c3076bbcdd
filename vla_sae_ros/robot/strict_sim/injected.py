"""Faults to order."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Injected:
    """What is wrong on purpose; times are ticks of the robot, milliseconds."""

    user_stop: bool = False
    reflex: str = ""
    """Flag to set at the next tick; taken back then."""
    drop_commands: int = 0
    """Commands still to be lost on their way, one a tick."""
    cut_for: int = 0
    """Ticks for which the cable is out: nothing comes, nothing goes."""
