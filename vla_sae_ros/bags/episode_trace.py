"""What one recorded episode says, as plain arrays."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from vla_sae_ros.core.episode_status import EpisodeStatus

FloatArray = npt.NDArray[np.float64]
Float32Array = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
UintArray = npt.NDArray[np.uint64]
IndexArray = npt.NDArray[np.uint32]
BoolArray = npt.NDArray[np.bool_]
Picture = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class FeatureStream:
    """The features of one site over N inferences; triple j belongs to inference i for which
    offset[i] <= j < offset[i + 1].
    """

    site: str
    step: IntArray
    """(N,) control ticks executed when the observation was made; repeats after a replan."""
    inference: UintArray
    """(N,) number of the inference within the policy process."""
    revision: UintArray
    """(N,) steering revision that was applied."""
    offset: IntArray
    """(N + 1,)."""
    index: IndexArray
    """(M,) feature ids."""
    natural: Float32Array
    """(M,) activation before the edits, in the SAE's units."""
    applied: Float32Array
    """(M,) activation after the edits."""
    fvu: Float32Array
    """(N,) fraction of variance unexplained; NaN when not measured."""
    edit_norm_ratio: Float32Array
    """(N,) ||dx|| / ||x||."""
    residual_norm: Float32Array
    """(N,) mean ||x|| over the tokens in scope, before the edits."""
    inference_ms: Float32Array
    """(N,) [ms] the whole inference."""
    tap_ms: Float32Array
    """(N,) [ms] of it in this site's tap."""
    capped: BoolArray
    """(N,) the edit was scaled down to the cap."""
    bypassed: BoolArray
    """(N,) steering was bypassed."""
    received: FloatArray
    """(N,) [s] time of reception since the bag's first message."""
    policy_start: UintArray
    """(N,) [ns since the epoch] when the policy began to serve; `inference` and `revision` count
    anew with another one. 0 in older bags, which do not tell."""
    pooled: Float32Array | None = None
    """(N, d) mean of the residual stream before the edits; None unless every inference told it."""

    def dense(self, features: Sequence[int]) -> tuple[Float32Array, Float32Array]:
        """Return (natural, applied), each (N, len(features)); 0 where a feature is not listed."""
        columns = {feature: column for column, feature in enumerate(features)}
        natural = np.zeros((len(self.step), len(features)), np.float32)
        applied = np.zeros_like(natural)
        rows = self._rows()
        for triple in np.flatnonzero(np.isin(self.index, np.asarray(features, np.uint32))):
            cell = rows[triple], columns[int(self.index[triple])]
            natural[cell], applied[cell] = self.natural[triple], self.applied[triple]
        return natural, applied

    def at(self, step: int) -> int | None:
        """Return the row of the newest inference at or before `step`; None before the first."""
        earlier = np.flatnonzero(self.step <= step)
        return int(earlier[-1]) if len(earlier) else None

    def row(self, row: int) -> tuple[IndexArray, Float32Array, Float32Array]:
        """Return the (index, natural, applied) triples of one inference."""
        part = slice(int(self.offset[row]), int(self.offset[row + 1]))
        return self.index[part], self.natural[part], self.applied[part]

    def means(self) -> dict[int, float]:
        """Return feature -> mean natural activation over the inferences, of every listed one."""
        total: dict[int, float] = {}
        for feature, value in zip(self.index.tolist(), self.natural.tolist(), strict=True):
            total[feature] = total.get(feature, 0.0) + value
        return {feature: value / len(self.step) for feature, value in total.items()}

    def edited(self) -> list[int]:
        """Return the features that an edit changed in any inference, ascending."""
        return sorted(set(self.index[self.applied != self.natural].tolist()))

    def steered(self) -> BoolArray:
        """Return (N,): an edit acted in this inference."""
        changed = np.zeros(len(self.step), bool)
        changed[self._rows()[self.applied != self.natural]] = True
        return (changed | (self.edit_norm_ratio > 0)) & ~self.bypassed

    def _rows(self) -> IntArray:
        return np.repeat(np.arange(len(self.step)), np.diff(self.offset))


@dataclass(frozen=True)
class EditSnapshot:
    """One standing edit at one moment; values in the SAE's units."""

    site: str
    feature: int
    owner: str
    commanded: float
    applied: float
    weight: float


@dataclass(frozen=True)
class SteeringSnapshot:
    """The steering state at one step."""

    step: int
    """-1 outside an episode."""
    revision: int
    bypass: bool
    edits: tuple[EditSnapshot, ...]
    received: float = math.nan
    """[s] time of reception since the bag's first message."""
    policy_start: int = 0
    """[ns since the epoch] when the policy began to serve; 0 in older bags, which do not tell."""


@dataclass(frozen=True)
class SteeringNote:
    """One line of the steering audit trail."""

    step: int
    """-1 outside an episode."""
    kind: str
    owner: str
    site: str
    feature: int
    from_value: float
    to_value: float
    reason: str
    received: float = math.nan
    """[s] time of reception since the bag's first message."""
    revision: int = 0
    """After the event."""
    node: str = ""
    """Full name of the node that asked, as far as the graph told; empty in older bags."""
    policy_start: int = 0
    """[ns since the epoch] when the policy began to serve; 0 in older bags, which do not tell."""


@dataclass(frozen=True)
class Annotation:
    """A remark that a person made while watching."""

    episode_id: str
    """Empty outside an episode."""
    step: int
    """-1 outside an episode."""
    author: str
    text: str
    received: float = field(default=math.nan, compare=False)
    """[s] time of reception since the bag's first message."""


@dataclass(frozen=True)
class Series:
    """Values over control steps: step (N,), values (N, ...)."""

    step: IntArray
    """(N,); -1 outside an episode."""
    values: FloatArray
    """(N, ...)."""
    stamp_ns: IntArray = field(default_factory=lambda: np.zeros(0, np.int64))
    """(N,) stamps of the messages; empty where the series is not a topic's."""
    received: FloatArray = field(default_factory=lambda: np.zeros(0))
    """(N,) [s] time of reception since the bag's first message; empty likewise."""


@dataclass(frozen=True)
class EpisodeTrace:
    """One episode of a bag, or what lies outside every episode.

    A step is a number of executed control ticks since the episode's start.
    """

    episode_id: str
    """Empty: outside every episode."""
    suite: str
    task: int
    instruction: str
    init_state: int
    seed: int
    control_rate: float
    """[Hz]; 0 when it is not known."""
    status: EpisodeStatus
    """The last that was recorded; UNKNOWN without any."""
    steps: int
    """Executed control ticks."""
    action_step: IntArray
    """(T,)."""
    actions: Float32Array
    """(T, A) as executed, in the units of the contract; NaN for one of another length."""
    held: BoolArray
    """(T,) ticks without a valid action."""
    commander: IntArray
    """(T,) who commanded the tick, a Commander each."""
    action_revision: UintArray
    """(T,) steering revision that produced the action."""
    action_chunk: UintArray
    """(T,) chunk the action came from; 0 while holding."""
    action_received: FloatArray
    """(T,) [s] time of reception since the bag's first message."""
    position: Series
    """(P, 3) end effector [m]."""
    quaternion: Series
    """(P, 4) end effector, x y z w."""
    gripper: Series
    """(G, fingers) finger positions [m]."""
    joints: Series
    """(J, joints) [rad]."""
    features: Mapping[str, FeatureStream] = field(default_factory=dict)
    """By site."""
    pictures: Mapping[str, Mapping[int, Picture]] = field(default_factory=dict)
    """Camera -> step -> (H, W, 3) RGB."""
    steering: tuple[SteeringSnapshot, ...] = ()
    notes: tuple[SteeringNote, ...] = ()
    annotations: tuple[Annotation, ...] = ()
    instructions: tuple[tuple[int, str], ...] = ()
    """What the policy was told, from which step on; `instruction` is the last of it."""
    heatmaps: Mapping[int, Picture] = field(default_factory=dict)
    """Step -> (H, W, 3) RGB: the chosen feature over the camera pictures."""

    @property
    def succeeded(self) -> bool:
        """The task's own predicate became true."""
        return self.status is EpisodeStatus.SUCCEEDED

    @property
    def actions_sha256(self) -> str:
        """Hash of the executed actions, float32 little-endian, in order."""
        return hashlib.sha256(self.actions.astype("<f4").tobytes()).hexdigest()

    def opening(self) -> Series:
        """Return the gripper's opening [m], (G,): the distance between the fingers."""
        return Series(self.gripper.step, np.abs(self.gripper.values).sum(axis=1))

    def height(self) -> Series:
        """Return the hand's height [m], (P,)."""
        values = self.position.values
        return Series(self.position.step, values[:, 2] if values.size else np.zeros(0))

    def speed(self) -> Series:
        """Return the hand's speed [m/s], (P - 1,): the mean since the position before."""
        step, values = self.position.step, self.position.values
        if len(step) < 2:
            return Series(step[:0], np.zeros(0))
        gone = np.linalg.norm(np.diff(values, axis=0), axis=1)
        rate = self.control_rate or math.nan
        return Series(step[1:], gone / np.diff(step) * rate)

    def steering_windows(self) -> list[tuple[int, int]]:
        """Return the [first, last) steps whose actions came from a steered inference, merged."""
        spans: list[tuple[int, int]] = []
        for stream in self.features.values():
            ends = np.append(stream.step[1:], self.steps)
            acted = stream.steered() & (ends > stream.step)
            spans += zip(stream.step[acted].tolist(), ends[acted].tolist(), strict=True)
        return _merged(spans)


def _merged(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for first, last in sorted(spans):
        if merged and first <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(last, merged[-1][1])
        else:
            merged.append((first, last))
    return merged
