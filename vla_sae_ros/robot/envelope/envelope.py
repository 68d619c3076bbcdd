"""The safety envelope: what becomes of one command at one control tick."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from vla_sae_ros.robot.action_space import ActionSpace
from vla_sae_ros.robot.admission import Admission, EnableRefused
from vla_sae_ros.robot.command import ArmCommand
from vla_sae_ros.robot.driver import Joints, RobotReading
from vla_sae_ros.robot.envelope.command_guard import Refusal, refusal_of
from vla_sae_ros.robot.envelope.place_guard import TOLERANCE
from vla_sae_ros.robot.envelope.reading_guard import Problem, problem_of
from vla_sae_ros.robot.envelope.shaping import Shaping
from vla_sae_ros.robot.outcome import EnvelopeState, Outcome
from vla_sae_ros.robot.reasons import Limit, Refused, Status, Stop
from vla_sae_ros.robot.settings import RobotSettings

_BY_STATUS = {
    Status.OFFLINE: Refused.OFFLINE,
    Status.DISABLED: Refused.DISABLED,
    Status.STOPPED: Refused.STOPPED,
}


@dataclass(frozen=True)
class _Shaped:
    requested: Joints | None
    sent: Joints | None
    closing: float
    limits: tuple[Limit, ...]


class SafetyEnvelope:
    """Disabled until enabled; a stop latches until `recover`, then `enable`.

    Thread-safe: requests come from anywhere, `tick` and `watch` from the control thread. It
    commands nobody: what it decides is in the Outcome, and the control loop obeys.

    Args:
        clock: monotonic [s]; stamps of readings and commands are on it.
    """

    def __init__(
        self, settings: RobotSettings, space: ActionSpace, clock: Callable[[], float]
    ) -> None:
        self._settings = settings
        self._space = space
        self._clock = clock
        self._lock = threading.Lock()
        self._admission = Admission(settings.lease, clock)
        self._shaping = Shaping(settings)
        self._counts: Counter[str] = Counter()
        self._revision = 0
        self._reading: RobotReading | None = None
        self._begin()

    def _begin(self) -> None:
        """Forget what belongs to one enabled stretch."""
        self._fed: float | None = None  # stamp of the last valid command
        self._had_control = False
        self._started = False  # the first tick starts from what is measured then
        self._last_tick: float | None = None

    def enable(self, owner: str, lease: float) -> None:
        """Let `owner` move the arm for `lease` s; its `renew` prolongs it.

        Raises:
            EnableRefused: offline, stopped, somebody else's, a bad lease, or an arm that stands
                outside its workspace (beyond place_guard.TOLERANCE) or joint margins.
        """
        with self._lock:
            fresh = self._admission.status is not Status.ENABLED
            if fresh and self._reading is not None:
                self._refuse_bad_place(self._reading.q)
            self._admission.enable(owner, lease)
            if fresh:
                self._begin()

    def renew(self, owner: str, lease: float) -> None:
        """Prolong the enable; raises EnableRefused when `owner` does not hold it."""
        with self._lock:
            self._admission.renew(owner, lease)

    def disable(self) -> None:
        """Hold still and refuse commands; from anybody, at any time."""
        with self._lock:
            self._admission.disable()

    def stop(self, reason: Stop, detail: str) -> None:
        """Latch a stop; the control loop must stop the driver as well."""
        with self._lock:
            self._admission.stop(reason, detail)

    def recover(self) -> None:
        """Forget a latched stop after the driver has recovered; the arm is disabled then."""
        with self._lock:
            self._admission.recover()

    def state(self) -> EnvelopeState:
        """Return where the envelope stands, with its counts."""
        with self._lock:
            admission, count = self._admission, self._counts
            return EnvelopeState(
                admission.status,
                admission.reason,
                admission.detail,
                self._revision,
                admission.owner,
                admission.lease_left,
                count["sent"],
                count["limited"],
                count["refused"],
                count["held"],
                admission.stops,
            )

    def watch(self, reading: RobotReading | None) -> Outcome | None:
        """Look at the robot between ticks; an Outcome when that latched a stop."""
        with self._lock:
            return self._watched(-1, reading, None)

    def tick(
        self, number: int, reading: RobotReading | None, command: ArmCommand | None
    ) -> Outcome:
        """Decide about one control tick.

        Args:
            number: counts ticks from 0.
            reading: of this moment; None without a connection.
            command: what the source has; None: nothing.
        """
        with self._lock:
            stopped = self._watched(number, reading, command)
            if stopped is not None:
                return self._count(stopped)
            status = self._admission.status
            if status is not Status.ENABLED or reading is None:
                return self._count(self._idle(number, reading, command))
            now = self._clock()
            problem = self._late(now)
            if problem is not None:
                return self._count(self._latch(number, reading, command, problem))
            return self._count(self._moving(number, reading, command, now))

    def _refuse_bad_place(self, q: Joints) -> None:
        limits, margin = self._settings.limits, self._settings.margin
        beyond = np.maximum(limits.lower - q, q - limits.upper) + margin
        joint = int(np.argmax(beyond))
        if beyond[joint] > margin / 2:
            raise EnableRefused(
                f"Joint {joint + 1} stands at {q[joint]:.3f} rad, {beyond[joint]:.3f} rad inside "
                "its margin. Move it away by hand first."
            )
        outside = self._shaping.outside(q)
        if outside > TOLERANCE:
            raise EnableRefused(
                f"The arm is {outside:.4f} m outside its workspace; allowed: {TOLERANCE:g} m. Move "
                "it by hand first, or correct the workspace in the robot's file."
            )

    def _watched(
        self, number: int, reading: RobotReading | None, command: ArmCommand | None
    ) -> Outcome | None:
        problem = self._problem(reading)
        here = reading is not None and (problem is None or problem[0] is not Stop.STALE_READING)
        self._admission.present(here)
        self._reading = reading if here else None
        status = self._admission.status
        if problem is None or status in (Status.STOPPED, Status.OFFLINE):
            return None
        return self._latch(number, reading, command, problem)

    def _problem(self, reading: RobotReading | None) -> Problem | None:
        """Return what forbids to move on, or None."""
        if reading is None:
            return Stop.DISCONNECTED, "there is no connection to the robot"
        now, admission = self._clock(), self._admission
        problem = problem_of(reading, self._settings, now)
        if problem is not None or admission.status is not Status.ENABLED:
            return problem
        if admission.lease_left <= 0:
            return Stop.LEASE_EXPIRED, f"{admission.owner!r} did not renew its enable in time"
        if self._had_control and not reading.in_control:
            return Stop.CONTROL_LOST, "the robot has stopped following, and names no reason"
        self._had_control |= reading.in_control
        return self._stale(now) or self._tracking(reading)

    def _stale(self, now: float) -> Problem | None:
        watchdog = self._settings.watchdog
        if self._fed is None or now - self._fed <= watchdog:
            return None
        age = now - self._fed
        return Stop.STALE_COMMAND, f"no valid command for {age:.3f} s; allowed: {watchdog:g} s"

    def _tracking(self, reading: RobotReading) -> Problem | None:
        commanded = self._shaping.commanded
        if self._fed is None or commanded is None:
            return None
        error = np.abs(commanded - reading.q)
        joint, limit = int(np.argmax(error)), self._settings.max_tracking_error
        if error[joint] <= limit:
            return None
        return Stop.TRACKING_ERROR, (
            f"joint {joint + 1} is {error[joint]:.3f} rad away from what "
            f"was sent; allowed: {limit:g} rad"
        )

    def _late(self, now: float) -> Problem | None:
        """A control thread that was held up knows neither the arm nor its commands any more."""
        last, self._last_tick = self._last_tick, now
        longest = self._settings.period + self._settings.watchdog
        if last is None or now - last <= longest:
            return None
        gap = now - last
        return Stop.LATE_TICK, f"a tick came {gap:.3f} s after the last; allowed: {longest:.3f} s"

    def _latch(
        self, number: int, reading: RobotReading | None, command: ArmCommand | None, why: Problem
    ) -> Outcome:
        reason, detail = why
        self._admission.stop(reason, detail)
        if command is not None:
            self._revision = command.steering_revision
        measured = None if reading is None else reading.q
        return Outcome(
            number,
            self._clock(),
            Status.STOPPED,
            command,
            measured,
            refused=None if command is None else Refused.STOPPED,
            stop=reason,
            detail=detail,
        )

    def _idle(
        self, number: int, reading: RobotReading | None, command: ArmCommand | None
    ) -> Outcome:
        status = self._admission.status
        measured = None if reading is None else reading.q
        wanted = command is not None and command.values is not None
        return Outcome(
            number,
            self._clock(),
            status,
            command,
            measured,
            refused=_BY_STATUS[status] if wanted else None,
        )

    def _moving(
        self, number: int, reading: RobotReading, command: ArmCommand | None, now: float
    ) -> Outcome:
        if not self._started:
            self._started = True
            self._shaping.start(reading.q)
        refusal: Refusal | None = None
        if command is not None:
            refusal = refusal_of(command, self._space, self._settings.watchdog, now)
            if refusal is None:
                self._fed, self._revision = command.stamp, command.steering_revision
        shaped = self._shape(command if refusal is None else None, reading)
        if shaped is None:
            why = Stop.WORKSPACE, "braking within the limits would leave the workspace"
            return self._latch(number, reading, command, why)
        return Outcome(
            number,
            now,
            Status.ENABLED,
            command,
            reading.q,
            shaped.requested,
            shaped.sent,
            shaped.closing,
            shaped.limits,
            None if refusal is None else refusal[0],
            detail="" if refusal is None else refusal[1],
        )

    def _shape(self, command: ArmCommand | None, reading: RobotReading) -> _Shaped | None:
        """Return what to send; None: nothing that can be sent is safe."""
        nan = float("nan")
        if command is not None and command.values is not None:
            target = self._space.target(np.asarray(command.values, float), reading.q)
            sent, limits = self._shaping.follow(target.q, reading.q, command.steering_revision)
            return None if sent is None else _Shaped(target.q, sent, target.closing, limits)
        if self._fed is None:
            return _Shaped(None, None, nan, ())  # nobody has commanded it yet: it just stands
        sent, limits = self._shaping.hold()
        return None if sent is None else _Shaped(None, sent, nan, limits)

    def _count(self, outcome: Outcome) -> Outcome:
        count = self._counts
        count["sent"] += outcome.sent is not None
        count["limited"] += outcome.sent is not None and bool(outcome.limits)
        count["refused"] += outcome.refused is not None
        count["held"] += outcome.status is Status.ENABLED and outcome.requested is None
        return outcome
