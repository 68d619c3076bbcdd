"""Immutable views of the steering state: one for an inference, one for people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from vla_sae_ros.core.steering.edit import AppliedEdit, Edit
from vla_sae_ros.core.steering.slot import Phase


@dataclass(frozen=True)
class Snapshot:
    """What one inference applies.

    Attributes:
        revision: of the steering state it was taken from.
        edits: per site, the edits that change something; sites without any are absent.
        cap: largest ||dx|| / ||x|| per token.
        bypass: all edits are kept but none acts (`edits` is empty).
    """

    revision: int = 0
    edits: Mapping[str, tuple[AppliedEdit, ...]] = field(default_factory=dict)
    cap: float = float("inf")
    bypass: bool = False


@dataclass(frozen=True)
class StandingEdit:
    """One standing edit as people see it.

    Attributes:
        edit: as commanded, site filled in.
        owner: who asked for it.
        phase: see `Phase`.
        commanded: v asked for, in the SAE's activation units.
        applied: v reached so far, likewise.
        weight: 0 natural to 1 fully applied.
        lease_remaining: [s]; infinite for a held edit.
    """

    edit: Edit
    owner: str
    phase: Phase
    commanded: float
    applied: float
    weight: float
    lease_remaining: float


@dataclass(frozen=True)
class StateView:
    """The whole steering state as people see it."""

    revision: int
    bypass: bool
    cap: float
    slew_limit: float
    observation_time: float | None
    edits: tuple[StandingEdit, ...]

    @property
    def is_moving(self) -> bool:
        """Whether anything will change by itself as observation time goes on."""
        return any(edit.phase in (Phase.RAMPING_IN, Phase.RELEASING) for edit in self.edits)
