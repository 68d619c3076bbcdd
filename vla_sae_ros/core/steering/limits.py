"""Limits every steering request is held to."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SteeringLimits:
    """Limits of the steering.

    Attributes:
        cap: largest ||dx|| / ||x|| per token and site; larger edits are scaled down and reported.
        slew_limit: [observed maxima / s] fastest change of an edit's value.
        max_multiple: largest |v| in observed maxima (CLAMP, ADD) or as a factor (SCALE).
        max_edits: edits that may stand at once.
        max_ramp: [s] longest ramp.
        default_lease: [s] lease of a request that names none.
        max_lease: [s] longest lease.
        max_slots: edits that may be there at once, those on their way out counted.
        longest_name: [characters] of an owner, a preset, a site or a token group.
    """

    cap: float = 1.5
    slew_limit: float = 20.0
    max_multiple: float = 20.0
    max_edits: int = 64
    max_ramp: float = 60.0
    default_lease: float = 5.0
    max_lease: float = 60.0
    max_slots: int = 256
    longest_name: int = 200
