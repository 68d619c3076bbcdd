"""One episode from reset to result, against an Environment and a stream of chunks."""

from __future__ import annotations

import hashlib
from collections import deque
from copy import copy
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from vla_sae_ros.core.chunk_queue import Chunk, ChunkQueue, PlannedAction, Refusal
from vla_sae_ros.core.chunk_requests import ChunkRequests, Due
from vla_sae_ros.core.commander import Commander
from vla_sae_ros.core.contract import Entry, bounded_action, safe_action
from vla_sae_ros.core.episode_status import EpisodeStatus
from vla_sae_ros.core.errors import VlaSaeError
from vla_sae_ros.nodes.episode.episode import (
    BY_PERSON,
    BY_PERSON_SILENT,
    WAITING,
    Counts,
    EpisodeCanceled,
    EpisodeClock,
    EpisodeGoal,
    EpisodeResult,
    ExecutedTick,
    Pacing,
    Progress,
    SimulatedEpisodeOutput,
    TimeSource,
    Told,
)
from vla_sae_ros.nodes.episode.hand import Hand
from vla_sae_ros.nodes.episode.mailbox import Mailbox
from vla_sae_ros.nodes.episode.views import View, Views
from vla_sae_ros.sim.environment import DrawsInBackground, Environment
from vla_sae_ros.sim.own_contract import instruction_of

LATENESS_ALLOWED = 0.1
"""Of a period; a tick that starts later than this after its deadline is a missed one."""


class NoChunk(VlaSaeError):
    """The policy did not answer in time."""


class EpisodeRunner:
    """Runs one episode on the calling thread; `run` returns however it ends.

    The action entry of the contract says how actions are bounded and what holding still is.
    In lockstep simulated time can run ahead of the wall clock: no_earlier_than_ns, one period after
    the last stamp of the episode before, keeps the stamps of a process ascending.

    While a person has taken over (hand), chunks are asked for and taken as always, and not
    executed; in lockstep, too, a tick then takes its time. After the hand-back the arm holds until
    there is a chunk of an observation that was made since.
    """

    def __init__(
        self,
        goal: EpisodeGoal,
        environment: Environment,
        action: Entry,
        pacing: Pacing,
        mailbox: Mailbox,
        output: SimulatedEpisodeOutput,
        time: TimeSource,
        no_earlier_than_ns: int = 0,
        hand: Hand | None = None,
    ) -> None:
        self._goal = goal
        self._environment = environment
        self._action = action
        self._pacing = pacing
        self.image_rate = pacing.image_rate
        """[Hz] of pictures between requests; any thread may change it."""
        self._mailbox = mailbox
        self._output = output
        self._time = time
        self._no_earlier_than_ns = no_earlier_than_ns
        self._hand, self._by_hand = hand, False
        self._told: deque[Told] = deque()
        self._queue = ChunkQueue(action.width, pacing.control_rate)
        self._queue.reset(goal.episode_id)
        self._counts = Counts()
        self._status = EpisodeStatus.RESETTING
        self._detail = ""
        self._step = 0
        self._start_ns = self._stamp_ns = self._pictured_ns = self._ahead_ns = 0
        self._lateness = self._stamped_at = 0.0
        self._requests = ChunkRequests(
            pacing.execute_steps, pacing.request_lead, pacing.resend_after
        )
        self._last: npt.NDArray[np.float32] | None = None
        self._hash = hashlib.sha256()

    def tell(self, told: Told) -> None:
        """Let the next inference hear another instruction; any thread may. The task stays."""
        self._told.append(told)

    def run(self) -> EpisodeResult:
        """Run the episode to its end.

        Raises only what is not a VlaSaeError, after telling that the episode broke off.
        """
        self._report()
        try:
            self._reset()
            if self._goal.clock is EpisodeClock.LOCKSTEP:
                self._run_lockstep()
            else:
                self._run_realtime()
            self._show_the_end()
        except EpisodeCanceled:
            self._status, self._detail = EpisodeStatus.CANCELED, f"canceled at step {self._step}"
        except VlaSaeError as error:
            self._status, self._detail = EpisodeStatus.ERROR, str(error)
        except Exception as error:
            self._status, self._detail = EpisodeStatus.ERROR, repr(error)
            self._report()
            raise
        self._report()
        return EpisodeResult(self._progress(), self._hash.hexdigest())

    def _reset(self) -> None:
        goal = self._goal
        assert goal.task is not None, "a simulation's goal names its task"
        self._observation = self._environment.reset(goal.task, goal.init_state, goal.seed)
        told = instruction_of(self._environment, goal.instruction)
        self._goal = goal = replace(goal, instruction=told)
        renderer = None
        if goal.clock is EpisodeClock.REALTIME and isinstance(self._environment, DrawsInBackground):
            renderer = self._environment.background_renderer(self._mailbox.wake)
        now_ns = self._time.wall_ns()
        self._start_ns = self._stamp_ns = max(now_ns, self._no_earlier_than_ns)
        self._ahead_ns = self._start_ns - now_ns
        self._stamped_at = self._time.monotonic()
        self._views = Views(
            goal,
            self._start_ns,
            self._environment,
            renderer,
            self._output,
            self._counts,
            self._time.monotonic if goal.clock is EpisodeClock.REALTIME else None,
        )
        self._status = EpisodeStatus.RUNNING
        self._take_chunks()  # also notices a cancel that came during the reset
        self._report()

    def _run_lockstep(self) -> None:
        """Execute execute_steps ticks of each chunk; no tick passes while a chunk is awaited."""
        while not self._is_over():
            self._note_commander()
            self._note_instruction()
            if self._requests.is_used_up(self._step, self._queue.newest, lead=0):
                self._look(asks=True)
                self._await_chunk()
            # Nobody steers by hand what runs faster than it would.
            paced = self._stamped_at + self._pacing.period
            self._take_chunks(until=paced if self._by_hand else None)
            self._tick()
            self._picture()

    def _run_realtime(self) -> None:
        """Tick at the control rate whatever the policy does."""
        self._look(asks=True)
        deadline = self._time.monotonic()
        while not self._is_over():
            self._take_chunks(until=deadline)
            lateness = self._time.monotonic() - deadline
            self._lateness = max(0.0, lateness)
            self._counts.worst_lateness = max(self._counts.worst_lateness, lateness)
            if lateness > LATENESS_ALLOWED * self._pacing.period:
                # The schedule starts anew: catching up would execute actions in a burst.
                self._counts.missed_deadlines += 1
                deadline += lateness
            deadline += self._pacing.period
            self._note_commander()
            self._tick()
            self._note_instruction()
            self._ask_in_realtime()

    def _note_commander(self) -> None:
        """Look who commands the next tick; after a hand-back, plan anew from here."""
        by_hand = self._hand is not None and self._hand.taken
        if self._by_hand and not by_hand:
            self._queue.restart(self._step)
            self._requests.anew()
        self._by_hand = by_hand

    def _note_instruction(self) -> None:
        """Take what the policy is told from now on, and let it infer from here."""
        if not self._told:
            return
        while self._told:
            self._goal = self._views.goal = self._goal.telling(self._told.popleft())
        self._requests.anew()
        self._report()

    def _choose(
        self, planned: PlannedAction | None
    ) -> tuple[npt.NDArray[np.float32], Commander, bool]:
        """Return what to execute, who commands it, and whether that is to hold still."""
        asked = planned.action if planned is not None else None
        commander = Commander.HOLD if asked is None else Commander.POLICY
        if self._by_hand and self._hand is not None:
            asked, commander = self._hand.action(self._last), Commander.PERSON
        if asked is None:
            self._counts.held_ticks += commander is Commander.HOLD
            return safe_action(self._action, self._last), commander, True
        bounded = bounded_action(self._action, asked)
        self._counts.clipped_actions += bounded.clipped
        return bounded.values, commander, False

    def _tick(self) -> None:
        planned = self._queue.pop(self._step)
        action, commander, held = self._choose(planned)
        if commander is Commander.PERSON:
            planned = None
        result = self._environment.step(action.astype(np.float64))
        self._output.executed(
            ExecutedTick(
                self._goal.episode_id,
                self._stamp_ns,
                self._step,
                action,
                planned,
                commander,
                held,
                self._lateness,
            )
        )
        self._hash.update(action.astype("<f4").tobytes())
        self._last, self._observation = action, result.observation
        self._step += 1
        self._stamp_ns, self._stamped_at = self._stamp_now(), self._time.monotonic()
        self._status, self._detail = EpisodeStatus.RUNNING, ""
        if commander is Commander.PERSON:
            self._detail = BY_PERSON_SILENT if held else BY_PERSON
        elif held:
            self._status, self._detail = EpisodeStatus.HOLDING, WAITING
        if result.success:
            self._status, self._detail = (
                EpisodeStatus.SUCCEEDED,
                "the task's success condition holds",
            )
        elif result.ended:
            self._status, self._detail = (
                EpisodeStatus.FAILED,
                f"the environment ended the episode at step {self._step}",
            )
        elif self._step >= self._goal.max_steps:
            self._status, self._detail = EpisodeStatus.FAILED, f"no success in {self._step} steps"
        if not self._is_over():
            self._report()

    def _hold(self) -> None:
        self._status, self._detail = EpisodeStatus.HOLDING, WAITING
        self._report()

    def _is_over(self) -> bool:
        return self._status in (EpisodeStatus.SUCCEEDED, EpisodeStatus.FAILED)

    def _stamp_now(self) -> int:
        """Return the time of the observation after the ticks executed so far."""
        if self._goal.clock is EpisodeClock.REALTIME:
            return self._time.wall_ns() + self._ahead_ns
        return self._start_ns + round(self._step * self._pacing.period * 1e9)

    def _view(self, asks: bool) -> View:
        return View(self._stamp_ns, self._stamped_at, self._step, self._observation, asks)

    def _look(self, asks: bool) -> bool:
        """Publish the present state, and ask for a chunk or not; False: the renderer is busy."""
        if not self._views.take(self._view(asks)):
            return False
        self._pictured_ns = self._stamp_ns
        if asks:
            self._requests.asked(self._step, self._time.monotonic())
        return True

    def _picture(self) -> None:
        """Publish an observation between requests when image_rate says so."""
        rate = self.image_rate
        due = rate > 0 and self._stamp_ns - self._pictured_ns >= 1e9 / rate
        if due and not self._is_over() and not self._look(asks=False):
            self._counts.skipped_pictures += 1
            self._pictured_ns = self._stamp_ns

    def _show_the_end(self) -> None:
        missing = self._views.take_last(self._view(asks=False))
        if missing:
            self._detail = f"{self._detail}; {missing}"

    def _await_chunk(self) -> None:
        """Wait for the chunk of the present step; raises NoChunk after chunk_timeout."""
        give_up = self._requests.at + self._pacing.chunk_timeout
        resend = self._requests.at + self._pacing.resend_after
        while not self._requests.is_answered(self._queue.newest):
            chunk = self._mailbox.get(min(give_up, resend) - self._time.monotonic())
            if chunk is not None:
                self._push(chunk)
            elif self._time.monotonic() >= give_up:
                raise NoChunk(
                    f"The policy gave no action chunk for step {self._step} within "
                    f"{self._pacing.chunk_timeout:g} s. Check that the policy node is running, and "
                    f"its log. {self._counts.last_refusal}".strip()
                )
            elif self._time.monotonic() >= resend:
                resend += self._pacing.resend_after
                self._counts.resent_requests += 1
                self._hold()
                self._look(asks=True)

    def _ask_in_realtime(self) -> None:
        """Ask for the next chunk early enough that the present one does not run dry."""
        if self._is_over():
            return
        due = self._requests.due(self._step, self._time.monotonic(), self._queue.newest)
        if due is Due.NO:
            self._picture()
            return
        if self._look(asks=True):  # otherwise as soon as the renderer is free
            self._counts.resent_requests += due is Due.AGAIN

    def _take_chunks(self, until: float | None = None) -> None:
        """Take the chunks that have come, or that come until a time of the monotonic clock.

        Pictures that are drawn meanwhile are published.
        """
        while True:
            self._views.publish_drawn()
            left = 0.0 if until is None else until - self._time.monotonic()
            chunk = self._mailbox.get(left)
            if chunk is not None:
                self._push(chunk)
            elif until is None or self._time.monotonic() >= until:
                return

    def _push(self, chunk: Chunk) -> None:
        outcome = self._queue.push(chunk)
        self._counts.dropped_chunks = self._queue.dropped
        if not outcome.accepted:
            self._counts.last_refusal = outcome.detail
            if outcome.reason is Refusal.TOO_LATE and chunk.observation_step >= self._requests.step:
                self._requests.answered_in_vain()

    def _progress(self) -> Progress:
        return Progress(
            self._goal,
            self._status,
            self._detail,
            self._start_ns,
            self._stamp_ns,
            self._step,
            copy(self._counts),
        )

    def _report(self) -> None:
        self._output.progress(self._progress())
