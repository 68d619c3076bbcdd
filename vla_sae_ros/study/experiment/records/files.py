"""What happened in a run, as arrays in one .npz file per run."""

from __future__ import annotations

import io
import sys
import zlib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from vla_sae_ros.core.errors import RecordingError, complaint

Floats = npt.NDArray[np.floating[Any]]

_DAMAGED = (OSError, ValueError, TypeError, EOFError, BadZipFile, zlib.error)
"""What numpy raises for an .npz file that is not whole, empty or something else."""


@dataclass(frozen=True)
class Arrays:
    """Arrays with names, in a file and back."""

    def to_bytes(self) -> bytes:
        """Return the content of the .npz file."""
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **{one.name: getattr(self, one.name) for one in fields(self)})
        return buffer.getvalue()

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a file. Raises RecordingError when it is missing, damaged or of another kind."""
        names = {one.name for one in fields(cls)}
        try:
            with np.load(path, allow_pickle=False) as archive:
                if not names <= set(archive.files):
                    raise RecordingError(
                        complaint(f"arrays in {path}", sorted(archive.files), sorted(names))
                    )
                return cls(**{name: archive[name] for name in names})
        except _DAMAGED as error:
            raise RecordingError(
                f"Cannot read {path}: {error}. Delete it and run the study again: only this run "
                "is repeated."
            ) from error


@dataclass(frozen=True)
class HookReadings(Arrays):
    """What the hooks did and read, per inference or observation (I,).

    Attributes:
        edit_ratio: (I,) float32, mean ||dx|| / ||x|| after the cap, the largest of the edited
            sites; 0 where no edit acted.
        capped: (I,) bool, the cap shortened dx.
        feature_sites: (f,) str, and feature_ids: (f,) int64: the features in question.
        natural, applied: (I, f) float32, their activations before and after the edits in the SAE's
            units; NaN where no hook read them (arms "none", "prompt", "noise").
    """

    edit_ratio: Floats
    capped: npt.NDArray[np.bool_]
    feature_sites: npt.NDArray[np.str_]
    feature_ids: npt.NDArray[np.int64]
    natural: Floats
    applied: Floats


@dataclass(frozen=True)
class TrackedPositions(Arrays):
    """The part of a `Trajectory`'s file that tells where everything went, see there."""

    control_rate: Floats
    ee_position: Floats
    gripper_opening: Floats
    object_names: npt.NDArray[np.str_]
    object_positions: Floats


@dataclass(frozen=True)
class ActingSteps(Arrays):
    """The part of a `Trajectory`'s file that tells when the edit acted, see there."""

    edit_ratio: Floats
    inference_steps: npt.NDArray[np.int64]

    def span(self) -> tuple[int, int] | None:
        """Return the control steps (first, end) whose chunks were edited; None without any.

        The last edited chunk is executed until the next inference, or to the rollout's end.
        """
        acted = np.flatnonzero(self.edit_ratio > 0)
        if not acted.size:
            return None
        after = self.inference_steps[acted[-1] + 1 :]
        end = int(after[0]) if after.size else sys.maxsize
        return int(self.inference_steps[acted[0]]), end


@dataclass(frozen=True)
class Trajectory(HookReadings, TrackedPositions):
    """One rollout of T control steps, with I inferences; row 0 is before the first action.

    Positions in the world frame [m], z up; quaternions xyzw. Hand and gripper are NaN where the
    environment does not tell them.

    Attributes:
        control_rate: () float64 [Hz].
        ee_position: (T + 1, 3) float64, the point between the finger tips.
        ee_quaternion: (T + 1, 4) float64, of the hand.
        gripper_opening: (T + 1,) float64 [m], distance between the finger pads' displacements;
            about 0.08 is open.
        actions: (T, A) float32 as executed. In LIBERO A is 7, in [-1, 1]: translation (3), rotation
            (3), gripper (-1 opens, +1 closes).
        object_names: (n,) str.
        object_positions: (T + 1, n, 3) float64.
        grasped: (T + 1, n) bool, the object touches both finger pads.
        inference_steps: (I,) int64, control steps executed before each inference.
        And what `HookReadings` says, per inference.
    """

    ee_quaternion: Floats
    actions: Floats
    grasped: npt.NDArray[np.bool_]
    inference_steps: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Responses(HookReadings):
    """One arm's answers to N observations in open loop, the same observations in every arm.

    Attributes:
        observation: (N,) str, "<episode>@<control step>".
        episode: (N,) int64, number of the episode an observation is from: observations of one
            episode are alike, resample episodes.
        noise_seed: (N,) int64: an observation answered from several noise seeds stands once for
            each, in all arms alike.
        actions: (N, H, A) float32, whole chunks, in the units of `Trajectory.actions`, not clipped.
        And what `HookReadings` says, per observation.
    """

    observation: npt.NDArray[np.str_]
    episode: npt.NDArray[np.int64]
    noise_seed: npt.NDArray[np.int64]
    actions: Floats


@dataclass(frozen=True)
class Latency(Arrays):
    """Step latencies of one arm: "none" (hook off), "zero" (hook on), "feature" (steering).

    Attributes:
        milliseconds: (N,) float64, observation in to chunk out.
        readout_milliseconds: (N,) float64, the features' read-out after the chunk was out.
        restored: () bool, after the edit's release the next chunk is the plain one, to the bit.
        answers_after: () int64, inferences from the change of the edit to the first changed chunk;
            1 is the very next, -1 where nothing was changed.
    """

    milliseconds: Floats
    readout_milliseconds: Floats
    restored: npt.NDArray[np.bool_]
    answers_after: npt.NDArray[np.int64]
