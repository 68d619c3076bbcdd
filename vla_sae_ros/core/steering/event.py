"""The audit trail of the steering: who changed what, or why not."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass


class EventKind(enum.IntEnum):
    """What happened. Values equal the wire's (SteeringEvent.msg)."""

    SET = 0
    REFUSED = 1
    RELEASED = 2
    LEASE_EXPIRED = 3
    BYPASS = 4
    RESET = 5
    PRESET = 6
    CAPPED = 7
    REMOVED = 8
    LIMITS = 9
    INJECTION = 10


@dataclass(frozen=True)
class Event:
    """One line of the audit trail.

    Attributes:
        kind: what happened.
        revision: of the steering state after the event.
        owner: who asked.
        site, feature: the edit it concerns; site is empty where it concerns no single edit.
        from_value, to_value: v in the SAE's activation units; NaN = natural.
        reason: in words.
    """

    kind: EventKind
    revision: int
    owner: str = ""
    site: str = ""
    feature: int = 0
    from_value: float = math.nan
    to_value: float = math.nan
    reason: str = ""
