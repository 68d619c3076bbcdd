"""What one steering edit says: which feature, how it is changed, where and when."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass

from vla_sae_ros.core.steering.condition import Condition
from vla_sae_ros.core.steering.control import Control


class Mode(enum.IntEnum):
    """How an edit changes the activation z. Values equal the wire's (SteeringEdit.msg)."""

    CLAMP = 0  # z' = v
    ADD = 1  # z' = z + v
    SCALE = 2  # z' = v z
    PROJECT_OUT = 3  # x' = x - (x . d) d


class Unit(enum.IntEnum):
    """What v of a CLAMP or ADD is measured in. Values equal the wire's (SteeringEdit.msg)."""

    NATURAL = 0  # the SAE's activation units
    OBSERVED_MAX = 1  # multiples of the feature's observed maximum
    RESIDUAL_NORM = 2  # fractions of the mean residual norm


TOKEN_GROUPS = ("camera", "language", "state", "action", "token")
"""Kinds of tokens; "token" are all of a site whose tokens nobody can tell apart."""


@dataclass(frozen=True)
class Edit:
    """One edit as it was asked for.

    Attributes:
        site: residual-stream site, e.g. "backbone.1"; empty = the only steerable one.
        feature: feature id, 0 to F - 1.
        mode: see `Mode`.
        value: v, in `unit` for CLAMP and ADD, a plain factor for SCALE, ignored for PROJECT_OUT.
        unit: see `Unit`.
        token_groups: tokens that are changed, a subset of `TOKEN_GROUPS`; empty = all of the site.
        denoising_steps: expert sites: denoising steps at which the edit acts; empty = all.
        ramp: [s] of observation time from the present to the wanted value.
        duration: [s] of observation time until the edit releases itself; 0 = never.
        window: [s] since the episode's first observation between which the edit acts;
            an end of 0 leaves it open.
        hold: the edit outlives its owner's lease.
        when: the edit acts only while this holds; None = always.
        control: what sets the strength from `value` on; None: it stays `value`.
    """

    feature: int
    mode: Mode
    value: float = 0.0
    site: str = ""
    unit: Unit = Unit.NATURAL
    token_groups: tuple[str, ...] = ()
    denoising_steps: tuple[int, ...] = ()
    ramp: float = 0.0
    duration: float = 0.0
    window: tuple[float, float] = (0.0, 0.0)
    hold: bool = False
    when: Condition | None = None
    control: Control | None = None

    @property
    def key(self) -> tuple[str, int]:
        """(site, feature): at most one standing edit has this key."""
        return self.site, self.feature

    def acts_like(self, other: Edit) -> bool:
        """Whether only numbers differ, so that the one can ramp into the other."""
        return (self.mode, self.token_groups, self.denoising_steps) == (
            other.mode,
            other.token_groups,
            other.denoising_steps,
        )

    def inside_window(self, episode_time: float) -> bool:
        """Whether the edit acts at this time [s] since the episode's first observation."""
        start, end = self.window
        return episode_time >= start and (end == 0.0 or episode_time < end)


@dataclass(frozen=True)
class AppliedEdit:
    """One edit as one inference applies it.

    Attributes:
        feature: feature id.
        mode: see `Mode`.
        value: v in the SAE's activation units (a plain factor for SCALE).
        weight: 0 (natural) to 1 (fully applied); z'_j - z_j is multiplied by it.
        token_groups: as in `Edit`.
        denoising_steps: as in `Edit`.
    """

    feature: int
    mode: Mode
    value: float
    weight: float
    token_groups: tuple[str, ...] = ()
    denoising_steps: tuple[int, ...] = ()

    @property
    def offset_gain(self) -> tuple[float, float]:
        """(offset, gain) with z' - z = offset + gain z; (0, 0) for a PROJECT_OUT."""
        if self.mode is Mode.CLAMP:
            return self.weight * self.value, -self.weight
        if self.mode is Mode.ADD:
            return self.weight * self.value, 0.0
        if self.mode is Mode.SCALE:
            return 0.0, self.weight * (self.value - 1.0)
        return 0.0, 0.0

    @property
    def is_neutral(self) -> bool:
        """Whether applying it changes nothing, to the bit."""
        if self.weight == 0.0:
            return True
        neutral = {Mode.ADD: 0.0, Mode.SCALE: 1.0}.get(self.mode, math.nan)
        return self.value == neutral
