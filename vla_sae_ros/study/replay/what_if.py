"""What the policy would have answered to the recorded observations under other steering.

Open loop: every inference sees the recorded observation, whatever the other actions would have led
to. What is compared are the chunks, from the same observation and the same noise.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vla_sae_ros.bags.recorded_inferences import SECOND, RecordedInference
from vla_sae_ros.core.errors import ConfigurationError, SteeringRefused
from vla_sae_ros.core.steering import (
    Preset,
    Snapshot,
    Steering,
    SteeringLimits,
    SteeringSite,
    read_preset,
)
from vla_sae_ros.core.steering.condition import STEP, feature_readings
from vla_sae_ros.study.replay.replay import InstructionOf, Replayed, SteeringOf

OWNER = "what if"


@dataclass(frozen=True)
class ComparedInference:
    """One inference under the other steering.

    Attributes:
        recorded: what it is compared with.
        actions: (H, A) float32, under the other steering.
        was_steered, is_steered: an edit changed the residual, as recorded and now.
    """

    recorded: RecordedInference
    actions: npt.NDArray[np.float32]
    was_steered: bool
    is_steered: bool

    @property
    def change(self) -> npt.NDArray[np.float64]:
        """Mean change of the chunk's actions (A,), now minus recorded, in their own units."""
        gap = self.actions.astype(np.float64) - self.recorded.actions
        return np.asarray(gap.mean(axis=0))

    @property
    def distance(self) -> float:
        """||da||: mean over the chunk of the Euclidean length of an action's change."""
        gap = self.actions.astype(np.float64) - self.recorded.actions
        return float(np.linalg.norm(gap, axis=1).mean())


@dataclass(frozen=True)
class WhatIf:
    """All inferences, and how many inferences could not be replayed, by reason."""

    inferences: tuple[ComparedInference, ...]
    reasons: dict[str, int]

    @classmethod
    def of(cls, replayed: Iterable[Replayed]) -> WhatIf:
        """Collect a replay."""
        inferences, reasons = [], dict[str, int]()
        for each in replayed:
            if each.inference is None:
                reasons[each.why] = reasons.get(each.why, 0) + 1
                continue
            before = any(site.edit_norm_ratio > 0 for site in each.recorded.sites.values())
            now = any(site.edit_norm_ratio > 0 for site in each.inference.sites)
            inferences.append(ComparedInference(each.recorded, each.inference.actions, before, now))
        return cls(tuple(inferences), reasons)

    def episodes(self) -> dict[str, list[ComparedInference]]:
        """Return the inferences of each episode, by its id."""
        found: dict[str, list[ComparedInference]] = {}
        for inference in self.inferences:
            found.setdefault(inference.recorded.episode_id, []).append(inference)
        return found


def read_edits(path: Path) -> Preset:
    """Read a preset file; raises ConfigurationError naming it."""
    return read_preset(path)


def other_steering(
    sites: Sequence[SteeringSite], preset: Preset | None, inferences: Sequence[RecordedInference]
) -> SteeringOf:
    """Return the steering that applies `preset` from each episode's start on; None = no edits.

    Cap and slew limit are the recorded ones. Raises ConfigurationError when the preset is refused.
    """
    limits = _recorded_limits(inferences)
    running: dict[str, Steering] = {}

    def begin() -> Steering:
        steering = Steering(sites, limits)
        if preset is not None:
            try:
                steering.apply_preset(preset.edits, preset.name, OWNER)
            except SteeringRefused as refusal:
                raise ConfigurationError(f"the preset is refused: {refusal}") from refusal
        return steering

    begin()  # refused before the first inference, or not at all

    def of(recorded: RecordedInference) -> Snapshot:
        steering = running.setdefault(recorded.episode_id, begin())
        now, start = recorded.stamp_ns / SECOND, recorded.start_ns / SECOND
        snapshot = steering.begin_inference(now, start, {(STEP, "", 0): float(recorded.step)})
        # Conditions read what was recorded, z before the edits.
        sites = tuple(recorded.sites.values())
        steering.read_out(now, feature_readings(sites, steering.wanted_features))
        return snapshot

    return of


def other_instruction(text: str, from_step: int) -> InstructionOf:
    """Return what tells `text` from a control step of each episode on, the recorded one before."""

    def of(recorded: RecordedInference) -> str:
        return text if recorded.step >= from_step else recorded.instruction

    return of


def _recorded_limits(inferences: Sequence[RecordedInference]) -> SteeringLimits:
    for inference in inferences:
        view = inference.snapshot.view if inference.snapshot else None
        if view is not None:
            return SteeringLimits(cap=view.cap, slew_limit=view.slew_limit)
    return SteeringLimits()
