"""Is the policy there? Told from the age of what it says."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

SILENCE_LIMIT = 3.0
"""[s]; a policy that lives says something at least once a second (/diagnostics)."""


class Link(Enum):
    """State of the connection to the policy."""

    WAITING = "waiting"  # nothing was ever heard
    LIVE = "live"
    LOST = "lost"  # was there, and is silent now


@dataclass(frozen=True)
class LinkState:
    """The connection at one moment."""

    link: Link
    age: float
    """[s] since the last message of the policy; infinite before the first."""


def link_state(now: float, last_heard: float | None) -> LinkState:
    """Judge by the time of the last message (same clock as `now`, [s])."""
    if last_heard is None:
        return LinkState(Link.WAITING, float("inf"))
    age = now - last_heard
    return LinkState(Link.LOST if age > SILENCE_LIMIT else Link.LIVE, age)
