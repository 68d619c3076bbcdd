"""Which action is executed at which control tick, when chunks arrive late, early or twice."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from vla_sae_ros.core.shapes import ActionRows, ActionVector

RATE_TOLERANCE = 0.01
"""Relative; a chunk meant for another control rate would be executed too fast or too slowly."""


@dataclass(frozen=True)
class Chunk:
    """H actions computed from one observation; row i is for tick observation_step + i."""

    chunk_id: int
    """Greater than 0; grows while one policy serves."""
    episode_id: str
    observation_step: int
    """Control ticks executed when the observation was made."""
    steering_revision: int
    actions: ActionRows
    """(H, A) in the units of the contract's action entry."""
    control_rate: float
    """Hz."""
    policy_start_ns: int = 0
    """When the policy began to serve; a restarted one counts its chunks and revisions anew."""

    @property
    def end(self) -> int:
        """Return the first tick that the chunk has no action for."""
        return self.observation_step + len(self.actions)


class Refusal(StrEnum):
    """Why a chunk was not taken."""

    DUPLICATE = "duplicate"
    OUT_OF_ORDER = "out of order"
    TOO_LATE = "too late"
    WRONG_EPISODE = "wrong episode"
    OLD_REVISION = "old steering revision"
    BEFORE_HANDBACK = "from before the hand-back"
    MALFORMED = "malformed"


@dataclass(frozen=True)
class Push:
    """What became of a chunk."""

    accepted: bool
    reason: Refusal | None = None
    detail: str = ""


@dataclass(frozen=True)
class PlannedAction:
    """The action for one tick and where it comes from."""

    action: ActionVector
    """(A,)"""
    step: int
    chunk_id: int
    chunk_index: int
    """Row of the chunk: step - observation_step."""
    steering_revision: int
    policy_start_ns: int
    """Of the chunk."""


class ChunkQueue:
    """Plans an episode's ticks from the chunks that arrive; nothing here knows about time.

    A chunk enters at the number of ticks executed since its observation, never by an estimate
    of latency. A newer chunk replaces what an older one planned from its own first tick on; until
    that tick the older one goes on.

    Args:
        action_dim: numbers per action, A.
        control_rate: [Hz]
        longest: rows of a chunk; one with more is refused. 0: any number.
    """

    def __init__(self, action_dim: int, control_rate: float, longest: int = 0) -> None:
        self._action_dim, self._longest = action_dim, longest
        self._control_rate = control_rate
        self._counts: Counter[Refusal] = Counter()
        self.reset("")

    def reset(self, episode_id: str) -> None:
        """Forget all chunks and counts and start an episode at tick 0."""
        self._episode_id = episode_id
        self._chunks: list[Chunk] = []  # ascending in chunk_id and in observation_step
        self._taken: set[int] = set()
        self._newest: Chunk | None = None
        self._next_step = self._earliest = 0
        self._counts.clear()

    def restart(self, step: int) -> None:
        """Plan anew from this tick on: what was computed from an earlier observation is refused.

        Somebody else has moved the robot until now; rows from before do not fit where it is.
        """
        self._chunks.clear()
        self._earliest = step

    @property
    def counts(self) -> dict[Refusal, int]:
        """Return how many chunks were refused for each reason."""
        return dict(self._counts)

    @property
    def dropped(self) -> int:
        """Return how many chunks were refused."""
        return self._counts.total()

    @property
    def newest(self) -> Chunk | None:
        """Return the chunk accepted last, whether or not it still has actions."""
        return self._newest

    def push(self, chunk: Chunk) -> Push:
        """Take a chunk or say why not; a refused chunk changes nothing but the counts."""
        reason, detail = self._objection(chunk)
        if reason is not None:
            self._counts[reason] += 1
            return Push(False, reason, f"Chunk {chunk.chunk_id} refused, {reason}: {detail}")
        self._chunks = [
            old for old in self._chunks if old.observation_step < chunk.observation_step
        ]
        self._chunks.append(chunk)
        if self._is_from_restarted_policy(chunk):
            self._taken.clear()
        self._taken.add(chunk.chunk_id)
        self._newest = chunk
        return Push(True)

    def pop(self, step: int) -> PlannedAction | None:
        """Return the action for this tick, or None when no chunk reaches it.

        Ticks are asked for once each, in ascending order; ValueError otherwise.
        """
        if step < self._next_step:
            raise ValueError(f"tick {step} is over; the next one is {self._next_step}")
        self._next_step = step + 1
        while len(self._chunks) > 1 and self._chunks[1].observation_step <= step:
            del self._chunks[0]
        if not self._chunks:
            return None
        chunk = self._chunks[0]
        row = step - chunk.observation_step
        if not 0 <= row < len(chunk.actions):
            return None
        return PlannedAction(
            chunk.actions[row],
            step,
            chunk.chunk_id,
            row,
            chunk.steering_revision,
            chunk.policy_start_ns,
        )

    def _objection(self, chunk: Chunk) -> tuple[Refusal | None, str]:
        malformed = self._malformed(chunk)
        if malformed:
            return Refusal.MALFORMED, malformed
        if chunk.episode_id != self._episode_id:
            return Refusal.WRONG_EPISODE, (
                f"it is for episode {chunk.episode_id!r}, {self._episode_id!r} is running."
            )
        if chunk.end <= self._next_step:
            return Refusal.TOO_LATE, (
                f"it ends before tick {chunk.end}, the next one is {self._next_step}."
            )
        if chunk.observation_step < self._earliest:
            return Refusal.BEFORE_HANDBACK, (
                f"its observation is of tick {chunk.observation_step}; a person handed back at "
                f"tick {self._earliest}."
            )
        if self._newest is None or self._is_from_restarted_policy(chunk):
            return None, ""
        return self._objection_beside(chunk, self._newest)

    def _objection_beside(self, chunk: Chunk, newest: Chunk) -> tuple[Refusal | None, str]:
        """Return why the chunk has no place after the one taken last."""
        if chunk.policy_start_ns < newest.policy_start_ns:
            return Refusal.OUT_OF_ORDER, "the policy that computed it has been restarted since."
        if chunk.chunk_id in self._taken:
            return Refusal.DUPLICATE, "it was already taken."
        if chunk.chunk_id < newest.chunk_id:
            return Refusal.OUT_OF_ORDER, f"chunk {newest.chunk_id} was taken before it."
        if chunk.steering_revision < newest.steering_revision:
            return Refusal.OLD_REVISION, (
                f"it was computed with revision "
                f"{chunk.steering_revision}, "
                f"{newest.steering_revision} is in use."
            )
        return None, ""

    def _is_from_restarted_policy(self, chunk: Chunk) -> bool:
        return self._newest is not None and chunk.policy_start_ns > self._newest.policy_start_ns

    def _malformed(self, chunk: Chunk) -> str:
        """Return what is wrong with the chunk in itself, or an empty text."""
        actions = chunk.actions
        if actions.ndim != 2 or actions.shape[0] == 0 or actions.shape[1] != self._action_dim:
            return (
                f"its actions have the shape {actions.shape}, (1 or more, {self._action_dim}) "
                "is needed."
            )
        if 0 < self._longest < len(actions):
            return f"it has {len(actions)} rows; at most {self._longest} are executed blindly."
        if not np.isfinite(actions).all():
            return "its actions are not all finite."
        if chunk.chunk_id < 1 or chunk.observation_step < 0:
            return (
                f"chunk id {chunk.chunk_id} and observation step {chunk.observation_step} must "
                "be at least 1 and 0."
            )
        deviation = abs(chunk.control_rate - self._control_rate)
        if not deviation <= RATE_TOLERANCE * self._control_rate:  # so that NaN is refused too
            return (
                f"it was made for {chunk.control_rate:g} Hz, but the bridge executes at "
                f"{self._control_rate:g} Hz."
            )
        return ""
