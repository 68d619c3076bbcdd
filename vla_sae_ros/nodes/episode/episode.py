"""What the bridge knows about an episode; no ROS here."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Protocol

import numpy as np
import numpy.typing as npt

from vla_sae_ros.core.chunk_queue import PlannedAction
from vla_sae_ros.core.commander import Commander
from vla_sae_ros.core.episode_status import EpisodeStatus
from vla_sae_ros.sim.environment import ImageArray, Observation, TaskSpec

WAITING = "no valid action: waiting for the policy"
"""Why an episode holds still."""
BY_PERSON = "a person has taken over"
BY_PERSON_SILENT = "a person has taken over and gives no command: holding still"


class EpisodeClock(StrEnum):
    """Who waits for whom."""

    LOCKSTEP = "lockstep"
    REALTIME = "realtime"


@dataclass(frozen=True)
class EpisodeGoal:
    """An episode that was asked for and can be run."""

    episode_id: str
    task: TaskSpec | None
    """None on a robot, whose task is the instruction."""
    init_state: int
    seed: int
    instruction: str
    max_steps: int
    clock: EpisodeClock
    instruction_revision: int = 0
    """Of the change that `instruction` is from; 0: the episode began with it."""

    def telling(self, told: Told) -> EpisodeGoal:
        """Return the goal with what the policy is told from now on; its task stays."""
        return replace(self, instruction=told.instruction, instruction_revision=told.revision)


@dataclass(frozen=True)
class Told:
    """What the policy is told from now on."""

    instruction: str
    revision: int
    """Of the change; grows by one with each."""


@dataclass(frozen=True)
class Pacing:
    """When chunks are asked for; steps are control ticks, times seconds."""

    control_rate: float
    """Hz."""
    execute_steps: int = 5
    """Ticks of a chunk that are executed before the next one is due."""
    request_lead: int = 3
    """Realtime: the next chunk is asked for at least so many ticks before the present one ends."""
    chunk_timeout: float = 90.0
    """Lockstep: the longest wait for a chunk; a policy that died has time to be started again."""
    resend_after: float = 2.0
    """A request without an answer is sent again after this time."""
    image_rate: float = 0.0
    """Hz, pictures between requests, for people; 0: none."""

    @property
    def period(self) -> float:
        """Return the time between ticks in seconds."""
        return 1.0 / self.control_rate


@dataclass
class Counts:
    """What went otherwise than planned in one episode."""

    missed_deadlines: int = 0
    held_ticks: int = 0
    dropped_chunks: int = 0
    resent_requests: int = 0
    clipped_actions: int = 0
    worst_lateness: float = 0.0
    """Realtime: the latest start of a tick, seconds after its deadline."""
    last_refusal: str = ""
    """Why the last chunk was not taken."""
    observations: int = 0
    """With pictures, that were published."""
    observation_age: float = 0.0
    """Realtime: of the newest one when it was published, seconds."""
    worst_observation_age: float = 0.0
    skipped_pictures: int = 0
    """Realtime: pictures for people that were due while others were being drawn."""
    renderer_restarts: int = 0
    renderer_trouble: str = ""
    """How the process that draws ended last."""


@dataclass(frozen=True)
class Progress:
    """How far an episode has come."""

    goal: EpisodeGoal | None = None
    status: EpisodeStatus = EpisodeStatus.IDLE
    detail: str = ""
    start_ns: int = 0
    """Stamp of the first observation; 0 before there is one."""
    stamp_ns: int = 0
    """Stamp of the newest observation."""
    step: int = 0
    counts: Counts = field(default_factory=Counts)


@dataclass(frozen=True)
class Request:
    """A chunk is wanted for the observation with this stamp."""

    goal: EpisodeGoal
    stamp_ns: int
    start_ns: int
    step: int
    age: float = 0.0
    """Of the observation, seconds; 0 where time stood still since."""


@dataclass(frozen=True)
class ExecutedTick:
    """One control tick as it was executed."""

    episode_id: str
    stamp_ns: int
    """Of the observation before the action."""
    step: int
    action: npt.NDArray[np.float32]
    """(A,) as sent to the environment."""
    planned: PlannedAction | None
    """The row that was executed; None: no row was."""
    commander: Commander
    """Who commanded it."""
    held: bool
    """There was no valid action, and the bridge held still."""
    lateness: float = 0.0
    """Realtime: how long after its time it started, seconds."""


@dataclass(frozen=True)
class EpisodeResult:
    """How an episode ended."""

    progress: Progress
    actions_sha256: str
    """Of the executed actions, float32 little-endian, in order."""


class EpisodeOutput(Protocol):
    """Where an episode's news go; called on the episode's thread."""

    def request(self, request: Request) -> None:
        """Ask for a chunk; its observation was published before."""
        ...

    def executed(self, tick: ExecutedTick) -> None:
        """Tell what was executed."""
        ...

    def progress(self, progress: Progress) -> None:
        """Tell how far the episode is."""
        ...


class SimulatedEpisodeOutput(EpisodeOutput, Protocol):
    """Where the news of an episode go whose observations the bridge itself makes."""

    def observation(
        self, stamp_ns: int, observation: Observation, pictures: dict[str, ImageArray]
    ) -> None:
        """Publish an observation; every message of it carries the stamp."""
        ...


class EpisodeCanceled(Exception):
    """Raised in the episode's thread wherever it waits, once it was canceled."""


class TimeSource(Protocol):
    """The two clocks of an episode."""

    def wall_ns(self) -> int:
        """Return nanoseconds since the epoch."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never jump."""
        ...
