"""What becomes of one episode on a robot, tick by tick; no ROS here."""

from __future__ import annotations

import hashlib
from copy import copy

from vla_sae_ros.core.commander import Commander
from vla_sae_ros.core.episode_status import EpisodeStatus
from vla_sae_ros.nodes.episode.episode import (
    BY_PERSON,
    BY_PERSON_SILENT,
    WAITING,
    Counts,
    EpisodeGoal,
    EpisodeOutput,
    EpisodeResult,
    ExecutedTick,
    Progress,
    Request,
    Told,
)
from vla_sae_ros.nodes.robot.episode import OUTSIDE, EpisodeTick
from vla_sae_ros.robot.next_steps import with_next_step
from vla_sae_ros.robot.outcome import TickOutcome


class RobotRun:
    """Counts the ticks of one episode and tells what happened at each."""

    def __init__(self, goal: EpisodeGoal) -> None:
        self._goal = goal
        self._counts = Counts()
        self._step = 0
        self._start_ns = self._stamp_ns = 0
        self._status, self._detail = EpisodeStatus.RUNNING, ""
        self._hash = hashlib.sha256()

    @staticmethod
    def idle() -> Progress:
        """Return what is told before the first episode."""
        return Progress()

    @property
    def over(self) -> bool:
        """The last tick before the step limit has been told."""
        return self._step >= self._goal.max_steps

    def take(self, outcome: TickOutcome, stamp_ns: int, output: EpisodeOutput) -> None:
        """Tell one tick; stamp_ns is that of the joints measured at it."""
        tick = outcome.command
        if not isinstance(tick, EpisodeTick) or tick.step == OUTSIDE or tick.action is None:
            return
        if tick.episode_id != self._goal.episode_id or not stamp_ns:
            return
        self._start_ns = self._start_ns or stamp_ns
        self._stamp_ns = stamp_ns
        by_person = tick.commander is Commander.PERSON
        held = tick.values is None
        self._counts.held_ticks += held and not by_person
        self._counts.clipped_actions += tick.clipped
        self._counts.resent_requests += tick.asks_again
        if tick.asks:
            output.request(Request(self._goal, stamp_ns, self._start_ns, tick.step))
        if outcome.refused is None and outcome.stop is None:
            output.executed(
                ExecutedTick(
                    self._goal.episode_id,
                    stamp_ns,
                    tick.step,
                    tick.action,
                    tick.planned,
                    tick.source,
                    held,
                )
            )
            self._hash.update(tick.action.astype("<f4").tobytes())
        self._step = tick.step + 1
        self._status, self._detail = EpisodeStatus.RUNNING, ""
        if by_person:
            self._detail = BY_PERSON_SILENT if held else BY_PERSON
        elif held:
            self._status, self._detail = EpisodeStatus.HOLDING, WAITING
        output.progress(self.progress)

    def tell(self, told: Told) -> None:
        """Let what is asked for from now on bear another instruction."""
        self._goal = self._goal.telling(told)

    def note_dropped(self, count: int, refusal: str) -> None:
        """Note how many chunks were refused so far, and why the last one was."""
        self._counts.dropped_chunks = count
        self._counts.last_refusal = refusal if count else ""

    def finish(self, why: str, canceled: bool = False, next_step: str = "") -> EpisodeResult:
        """End the episode; empty `why`: at its step limit, which is no failure of anything.

        Args:
            next_step: what a person does about it, as sentences.
        """
        if not why:
            self._status = EpisodeStatus.FAILED
            self._detail = f"the step limit of {self._goal.max_steps} is reached"
        else:
            self._status = EpisodeStatus.CANCELED if canceled else EpisodeStatus.ERROR
            self._detail = with_next_step(f"{why}, at step {self._step}", next_step)
        return EpisodeResult(self.progress, self._hash.hexdigest())

    @property
    def progress(self) -> Progress:
        """How far the episode has come."""
        return Progress(
            self._goal,
            self._status,
            self._detail,
            self._start_ns,
            self._stamp_ns,
            self._step,
            copy(self._counts),
        )
