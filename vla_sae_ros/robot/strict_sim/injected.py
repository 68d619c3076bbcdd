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
    mode: str = ""
    """Mode in which it cannot be moved though nothing is wrong: "other", "guiding"; empty: none."""
    repeat_for: int = 0
    """Ticks for which its states tell the same joints, whatever moves."""
    cut_for: int = 0
    """Ticks for which the cable is out: nothing comes, nothing goes."""
