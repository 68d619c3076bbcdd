"""What the control loop tells those who listen."""

from __future__ import annotations

from dataclasses import dataclass

from vla_sae_ros.robot.driver import RobotReading
from vla_sae_ros.robot.outcome import EnvelopeState, TickOutcome


@dataclass(frozen=True)
class LoopState:
    """RobotState.msg holds the same."""

    envelope: EnvelopeState
    driver: str
    robot: str
    ticks: int
    late_ticks: int
    skipped_ticks: int
    late_p99: float
    """[s]"""
    dropped_reports: int
    """Reports that no sink got, because the sinks were too slow."""
    not_realtime: str
    """Why the control thread has no real-time priority; empty when it has."""


@dataclass(frozen=True)
class Report:
    """One tick, one stop between ticks, or one request."""

    state: LoopState
    reading: RobotReading | None
    outcome: TickOutcome | None = None
    """None for a request."""
    event: str = ""
    """A request in words, e.g. "enable by panel"; empty for a tick."""
