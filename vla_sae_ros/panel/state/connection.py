"""Is the policy there? Told from the age of what it says."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from vla_sae_ros.panel.state.values import RecordingView

SILENCE_LIMIT = 3.0
"""[s]; a policy that lives says something at least once a second (/diagnostics)."""

RECORDER_SILENCE = 5.0
"""[s] without news of a running recording, which comes once a second, after which it is lost."""


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


class RecorderLink:
    """Whether a recording that runs is still reported."""

    def __init__(self) -> None:
        """Start with nothing heard."""
        self._heard: RecordingView | None = None
        self._heard_at = 0.0

    def lost(self, newest: RecordingView | None, now: float) -> bool:
        """Return whether the newest report, seen here at every refresh, is too old [s]."""
        if newest is not self._heard:
            self._heard, self._heard_at = newest, now
        runs = newest is not None and newest.recording
        return runs and now - self._heard_at > RECORDER_SILENCE
