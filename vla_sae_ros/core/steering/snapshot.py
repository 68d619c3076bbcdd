"""Immutable views of the steering state: one for an inference, one for people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

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
        view: the state it was taken from, where it was taken from one.
        injection: site at which another episode's residual stream is injected; empty = none.
    """

    revision: int = 0
    edits: Mapping[str, tuple[AppliedEdit, ...]] = field(default_factory=dict)
    cap: float = float("inf")
    bypass: bool = False
    view: StateView | None = None
    injection: str = ""


@dataclass(frozen=True)
class StandingEdit:
    """One standing edit as people see it.

    Attributes:
        edit: as commanded, site filled in.
        owner: who asked for it.
        phase: see `Phase`.
        commanded: v asked for, in the SAE's activation units.
        applied: v reached so far, likewise; like the weight of the wire's precision (float32), so
            that a recorded state gives the very edit that was applied.
        weight: 0 natural to 1 fully applied.
        lease_remaining: [s]; infinite for a held edit.
        condition_reading: what its condition read; None without one, or where it is not known.
        control_reading: what its controller read, likewise.
    """

    edit: Edit
    owner: str
    phase: Phase
    commanded: float
    applied: float
    weight: float
    lease_remaining: float
    condition_reading: float | None = None
    control_reading: float | None = None

    @property
    def key(self) -> tuple[str, int]:
        """(site, feature)."""
        return self.edit.key

    def acting(self) -> AppliedEdit:
        """Return the edit as an inference applies it now."""
        edit = self.edit
        return AppliedEdit(
            edit.feature,
            edit.mode,
            self.applied,
            self.weight,
            edit.token_groups,
            edit.denoising_steps,
        )


@dataclass(frozen=True)
class StateView:
    """The whole steering state as people see it."""

    revision: int
    bypass: bool
    cap: float
    slew_limit: float
    observation_time: float
    """[s] stamp of the observation it was evaluated for; 0 before the first."""
    edits: tuple[StandingEdit, ...]
    policy_start_ns: int = 0
    """[ns since the epoch] when the policy began to serve that it is a state of; 0 = not told. With
    another one, revisions begin anew."""
    injection: str = ""
    """Site at which another episode's residual stream is injected; empty = none."""

    def says_the_same(self, other: StateView) -> bool:
        """Whether both states act alike: equal but for the clock and the leases."""
        return self._timeless() == other._timeless()

    def _timeless(self) -> StateView:
        edits = tuple(replace(edit, lease_remaining=0.0) for edit in self.edits)
        return replace(self, observation_time=0.0, edits=edits)


def snapshot_of(view: StateView) -> Snapshot:
    """Return what an inference applies in this state, live or recorded."""
    acting: dict[str, tuple[AppliedEdit, ...]] = {}
    for standing in () if view.bypass else view.edits:
        applied = standing.acting()
        if not applied.is_neutral:
            site = standing.edit.site
            acting[site] = (*acting.get(site, ()), applied)
    injection = "" if view.bypass else view.injection
    return Snapshot(view.revision, acting, view.cap, view.bypass, view, injection)
