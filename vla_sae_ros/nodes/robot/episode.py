"""A robot's episode: which row of which chunk each control tick asks for; no ROS here."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vla_sae_ros.core.chunk_queue import Chunk, ChunkQueue, PlannedAction
from vla_sae_ros.core.chunk_requests import ChunkRequests, Due
from vla_sae_ros.core.commander import Commander
from vla_sae_ros.core.contract import Entry, bounded_action, safe_action
from vla_sae_ros.nodes.episode.episode import EpisodeGoal, Pacing
from vla_sae_ros.robot.command import ArmCommand
from vla_sae_ros.robot.driver import RobotReading
from vla_sae_ros.robot.person_actions import PersonActions

OUTSIDE = -1


@dataclass(frozen=True)
class EpisodeTick(ArmCommand):
    """The command of one tick, and what the episode's topics say of it."""

    step: int = OUTSIDE
    """Tick within the episode, from 0; OUTSIDE between episodes."""
    action: npt.NDArray[np.float32] | None = None
    """(A,) in the channels' units, as ExecutedAction tells it; None outside an episode."""
    planned: PlannedAction | None = None
    asks: bool = False
    """A chunk is asked for from this tick's observation."""
    asks_again: bool = False
    """Because the request before was not answered."""
    clipped: bool = False


class EpisodeSource:
    """A CommandSource that plays the chunks of one episode at a time, holding between them.

    While a person has taken over it gives what they ask for; the episode goes on meanwhile, and so
    do the requests for chunks. After the hand-back it holds until there is a chunk of an
    observation that was made since.

    It holds while the policy computes and gives nothing once the policy has not answered for
    `policy_timeout`: the loop's watchdog stops the arm then. `next` runs on the control thread,
    everything else on any.

    Args:
        action: the contract's action entry.
        pacing: `execute_steps` is the open-loop horizon; chunks may be of any length.
        policy_timeout: [s] after which an unanswered policy is taken as lost.
        longest_chunk: rows; a longer one is refused.
        outside: says in words why an action (in the channels' units) cannot be meant, else "".
            Such a one goes to the envelope as it is, which refuses it, instead of being clamped.
    """

    def __init__(
        self,
        action: Entry,
        pacing: Pacing,
        policy_timeout: float,
        longest_chunk: int,
        outside: Callable[[npt.NDArray[np.float64]], str],
    ) -> None:
        self._action, self._pacing, self._outside = action, pacing, outside
        self.policy_timeout = policy_timeout
        """[s]; may change at any time, on any thread."""
        self._lock = threading.Lock()
        self._queue = ChunkQueue(action.width, pacing.control_rate, longest_chunk)
        self._goal: EpisodeGoal | None = None
        self._revision = 0
        self._step = 0
        self._unanswered_since: float | None = None
        self._last: npt.NDArray[np.float32] | None = None
        self._closing = math.nan
        self._taken = False
        self.person: PersonActions | None = None
        """Who may take over; set it before the first tick."""
        self._clear("")

    @property
    def lost_policy(self) -> bool:
        """The policy has not answered in time."""
        return self._lost

    @property
    def dropped(self) -> int:
        """Chunks of this episode that were refused."""
        with self._lock:
            return self._queue.dropped

    def start(self, goal: EpisodeGoal) -> None:
        """Begin an episode at tick 0 with the next tick."""
        with self._lock:
            self._clear(goal.episode_id)
            self._goal = goal

    def ask_anew(self) -> None:
        """Ask for a chunk at the next tick, whatever was asked for before."""
        with self._lock:
            self._requests.anew()

    def end(self) -> None:
        """Hold from now on; what is left of the chunks is thrown away."""
        with self._lock:
            self._goal = None
            self._clear("")

    def push(self, chunk: Chunk) -> str:
        """Take a chunk; return why it was refused, empty when it was not."""
        with self._lock:
            outcome = self._queue.push(chunk)
            if outcome.accepted:  # late for a newer request, perhaps, but the policy lives
                self._unanswered_since = None
            return outcome.detail

    def next(self, reading: RobotReading, now: float) -> ArmCommand | None:
        """See CommandSource.next."""
        with self._lock:
            self._note_commander()
            goal = self._goal
            if goal is None or self._step >= goal.max_steps:
                return self._outside_episode(reading, now)
            step, self._step = self._step, self._step + 1
            due = self._ask(step, now)
            planned = self._queue.pop(step)
            if self._taken:
                return self._by_hand(goal, step, due, reading, now)
            if planned is not None:
                return self._row(goal, planned, due, now)
            waited = 0.0 if self._unanswered_since is None else now - self._unanswered_since
            self._lost = waited > self.policy_timeout
            if self._lost:
                return None
            self._last = safe_action(self._action, self._last)
            return EpisodeTick(
                now,
                None,
                self._revision,
                goal.episode_id,
                step=step,
                action=self._last,
                asks=due is not Due.NO,
                asks_again=due is Due.AGAIN and step > 0,
            )

    def _note_commander(self) -> None:
        """Begin and end what belongs to one takeover."""
        person = self.person
        if person is None or person.in_charge == self._taken:
            return
        self._taken = not self._taken
        if self._taken:
            return
        self._queue.restart(self._step)
        self._requests.anew()
        self._unanswered_since = None

    def _outside_episode(self, reading: RobotReading, now: float) -> EpisodeTick:
        if not self._taken or self.person is None:
            return EpisodeTick(now, None, self._revision)
        asked = self.person.action(reading, self._closing)
        return EpisodeTick(
            now,
            asked.values,
            self._revision,
            commander=Commander.PERSON,
            leaves_gripper=asked.leaves_gripper,
        )

    def _by_hand(
        self, goal: EpisodeGoal, step: int, due: Due, reading: RobotReading, now: float
    ) -> EpisodeTick:
        assert self.person is not None
        asked = self.person.action(reading, self._closing)
        if asked.values is None:
            self._last = safe_action(self._action, self._last)
        else:
            self._last = asked.values.astype(np.float32)
            if not asked.leaves_gripper:
                self._closing = float(asked.values[-1])
        return EpisodeTick(
            now,
            asked.values,
            self._revision,
            goal.episode_id,
            commander=Commander.PERSON,
            leaves_gripper=asked.leaves_gripper,
            step=step,
            action=self._last,
            asks=due is not Due.NO,
            asks_again=due is Due.AGAIN and step > 0,
        )

    def _row(self, goal: EpisodeGoal, planned: PlannedAction, due: Due, now: float) -> EpisodeTick:
        bounded = bounded_action(self._action, planned.action)
        asked = bounded.asked.astype(np.float64)
        nonsense = bounded.clipped and self._outside(asked)
        values = asked if nonsense else bounded.values.astype(np.float64)
        self._last, self._revision = bounded.values, planned.steering_revision
        self._closing = float(bounded.values[-1])
        return EpisodeTick(
            now,
            values,
            planned.steering_revision,
            goal.episode_id,
            planned.chunk_id,
            planned.chunk_index,
            step=planned.step,
            action=values.astype(np.float32),
            planned=planned,
            asks=due is not Due.NO,
            asks_again=due is Due.AGAIN and planned.step > 0,
            clipped=bounded.clipped,
        )

    def _ask(self, step: int, now: float) -> Due:
        due = self._requests.due(step, now, self._queue.newest)
        if due is not Due.NO:
            self._requests.asked(step, now)
            if self._unanswered_since is None:
                self._unanswered_since = now
        return due

    def _clear(self, episode_id: str) -> None:
        self._queue.reset(episode_id)
        pacing = self._pacing
        self._requests = ChunkRequests(
            pacing.execute_steps, pacing.request_lead, pacing.resend_after
        )
        self._step = 0
        self._unanswered_since = None
        self._lost = False
        self._last = None
