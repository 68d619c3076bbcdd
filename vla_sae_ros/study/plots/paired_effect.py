"""What steering did to an episode, against its twin: the two compared over their common time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vla_sae_ros.bags.episode_trace import EpisodeTrace, Series
from vla_sae_ros.core.errors import RecordingError, complaint

Positions = npt.NDArray[np.float64]
_SAME = ("suite", "task", "instruction", "init_state", "seed", "control_rate")


@dataclass(frozen=True)
class PairedEffect:
    """Episode b against episode a, length-matched: over the first min(steps) control steps.

    Attributes:
        a, b: the episodes, usually plain and steered.
        unpaired: in words, what the two do not have in common; empty for a proper pair.
        steps: common control steps.
        parted_at: first step whose action differs; None when no action does.
        position_a, position_b: (steps + 1, 3) [m], interpolated between the recorded ones.
    """

    a: EpisodeTrace
    b: EpisodeTrace
    unpaired: tuple[str, ...]
    steps: int
    parted_at: int | None
    position_a: Positions
    position_b: Positions

    @property
    def displacement(self) -> Positions:
        """Position of b minus that of a (steps + 1, 3) [m]."""
        return self.position_b - self.position_a

    @property
    def distance(self) -> npt.NDArray[np.float64]:
        """||displacement|| (steps + 1,) [m]."""
        return np.linalg.norm(self.displacement, axis=1)

    @property
    def windows(self) -> list[tuple[int, int]]:
        """Steps [first, last) in which steering acted in either, within the common ones."""
        found = self.a.steering_windows() + self.b.steering_windows()
        return [
            (first, min(last, self.steps)) for first, last in sorted(found) if first < self.steps
        ]

    def figures(self) -> dict[str, float]:
        """Return the numbers by name; those about a window only where there is one."""
        distance, moved = self.distance, self.displacement
        worst = int(distance.argmax())
        rate = self.a.control_rate
        found = {
            "common time [s]": self.steps / rate,
            "mean displacement [mm]": 1e3 * float(distance.mean()),
            "largest displacement [mm]": 1e3 * float(distance[worst]),
            "largest displacement at [s]": worst / rate,
            "displacement at the common end [mm]": 1e3 * float(distance[-1]),
            "path length a [m]": _length(self.position_a),
            "path length b [m]": _length(self.position_b),
        }
        if self.parted_at is not None:
            found["actions part at [s]"] = self.parted_at / rate
        if self.windows:
            first, last = self.windows[0][0], self.windows[-1][1]
            change = 1e3 * (moved[last] - moved[first])
            found["steering from [s]"], found["steering to [s]"] = first / rate, last / rate
            for axis, value in zip("xyz", change.tolist(), strict=True):
                found[f"displacement over the steering, {axis} [mm]"] = value
        return found


def paired_effect(a: EpisodeTrace, b: EpisodeTrace) -> PairedEffect:
    """Compare two episodes. Raises RecordingError when one has no positions to compare."""
    for trace in (a, b):
        if len(trace.position.step) < 2:
            raise RecordingError(
                complaint(
                    f"positions of the hand in episode {trace.episode_id}",
                    len(trace.position.step),
                    "at least 2 messages on ee_pose",
                    "Record ee_pose.",
                )
            )
    unpaired = tuple(
        f"{name}: {getattr(a, name)} and {getattr(b, name)}"
        for name in _SAME
        if getattr(a, name) != getattr(b, name)
    )
    steps = min(a.steps, b.steps)
    return PairedEffect(
        a,
        b,
        unpaired,
        steps,
        _parting(a, b),
        _sampled(a.position, steps),
        _sampled(b.position, steps),
    )


def _parting(a: EpisodeTrace, b: EpisodeTrace) -> int | None:
    common = min(len(a.actions), len(b.actions))
    differ = np.flatnonzero((a.actions[:common] != b.actions[:common]).any(axis=1))
    return int(a.action_step[differ[0]]) if len(differ) else None


def _sampled(series: Series, steps: int) -> Positions:
    grid = np.arange(steps + 1)
    return np.stack([np.interp(grid, series.step, column) for column in series.values.T], axis=1)


def _length(positions: Positions) -> float:
    return float(np.linalg.norm(np.diff(positions, axis=0), axis=1).sum())
