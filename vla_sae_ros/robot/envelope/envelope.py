"""The safety envelope: what becomes of one command at one control tick."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from vla_sae_ros.core.commander import Commander
from vla_sae_ros.robot.action_space import ActionSpace
from vla_sae_ros.robot.admission import Admission, EnableRefused
from vla_sae_ros.robot.command import ArmCommand
from vla_sae_ros.robot.driver import Joints, RobotReading
from vla_sae_ros.robot.envelope.command_guard import Refusal, refusal_of
from vla_sae_ros.robot.envelope.measured_guard import MeasuredGuard
from vla_sae_ros.robot.envelope.place_guard import RETURN
from vla_sae_ros.robot.envelope.reading_guard import Problem, fault_of, problem_of
from vla_sae_ros.robot.envelope.shaping import Shaping
from vla_sae_ros.robot.machine.events import Action, Event, Kind, Verdict
from vla_sae_ros.robot.machine.states import State
from vla_sae_ros.robot.next_steps import NEXT_STEPS
from vla_sae_ros.robot.outcome import EnvelopeState, TickOutcome
from vla_sae_ros.robot.reasons import Limit, Refused, Status, Stop
from vla_sae_ros.robot.settings import RobotSettings

_BY_STATUS = {
    Status.OFFLINE: Refused.OFFLINE,
    Status.DISABLED: Refused.DISABLED,
    Status.STOPPED: Refused.STOPPED,
}


FURTHEST = 0.2
"""[rad] beyond the end of its range from where a joint may be moved back."""
WELL_INSIDE = 0.02
"""[rad] further than its margin that a joint is moved back."""
BACK_LEAD = 0.05
"""[rad] by which the targets lead on the way back: slow, and soft under joint impedance."""


def suspended() -> float:
    """Return for how long this machine has been suspended since it was started [s]."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) - time.clock_gettime(time.CLOCK_MONOTONIC)


@dataclass(frozen=True)
class _Shaped:
    requested: Joints | None
    sent: Joints | None
    closing: float
    limits: tuple[Limit, ...]


class SafetyEnvelope:
    """Disabled until enabled; a stop latches until `recover`, then `enable`.

    One thread owns it: the control thread, which alone calls anything but `state`. It commands
    nobody: what it decides is in the TickOutcome or the Verdict, and the control loop obeys.

    Args:
        clock: monotonic [s]; stamps of readings and commands are on it.
        slept: seconds for which the machine was suspended so far; `clock` stands meanwhile.
    """

    def __init__(
        self,
        settings: RobotSettings,
        space: ActionSpace,
        clock: Callable[[], float],
        slept: Callable[[], float] = suspended,
    ) -> None:
        self._settings = settings
        self._space = space
        self._clock = clock
        self._slept = slept
        self._admission = Admission(settings.lease, clock)
        self._shaping = Shaping(settings)
        self._measured = MeasuredGuard(settings, self._shaping)
        self._counts: Counter[str] = Counter()
        self._revision = 0
        self._reading: RobotReading | None = None
        self._last_slept = slept()
        self._ticket = 0
        self._begin()
        self._keep()

    def _begin(self) -> None:
        """Forget what belongs to one enabled stretch."""
        self._fed: float | None = None  # stamp of the last valid command
        self._had_control = False
        self._started = False  # the first tick starts from what is measured then
        self._last_tick: float | None = None
        self._way_back = False
        self._measured.start()

    def ticket(self) -> int:
        """Return the number of a request that is asked for now."""
        self._ticket += 1
        return self._ticket

    def request(self, event: Event) -> Verdict:
        """Let the machine of states judge an event; the caller does what the verdict says."""
        arm, reading = self._admission.memory.arm, self._reading
        self._ticket = max(self._ticket, event.asked)
        if event.kind in (Kind.ENABLE, Kind.RECOVERED):
            fault = None if reading is None else fault_of(reading)
            arm.fault = "" if fault is None else f"{fault[0]}, {fault[1]}"
        if event.kind is Kind.ENABLE:
            arm.fresh = reading is not None
            arm.blocked = "" if reading is None else self._blocked(reading, event.way_back)
        verdict = self._admission.handle(event)
        if Action.BEGIN in verdict.actions:
            self._begin()
            self._way_back = event.way_back
        if Action.SWITCH in verdict.actions:
            self._shaping.hand_over()
            self._counts["takeovers"] += event.kind is Kind.TAKE_OVER
        self._keep()
        return verdict

    def look_at(self, reading: RobotReading) -> None:
        """Take a state in without judging it: a recovery has just ended."""
        self._reading = reading

    def braking(self, braking: bool) -> None:
        """Note whether the arm still moves although it was told to stop."""
        self._admission.memory.arm.braking = braking

    def offline_because(self, why: str) -> None:
        """Note why there is no robot, for who asks; empty: there is one."""
        self._admission.offline_because(why)

    def enable(self, owner: str, lease: float) -> None:
        """Let `owner` move the arm for `lease` s; its `renew` prolongs it.

        Raises:
            EnableRefused: offline, stopped, somebody else's, a bad lease, or an arm that stands
                too far outside its workspace (place_guard.RETURN) or joint margins.
        """
        self._ask(Event(Kind.ENABLE, self.ticket(), owner, lease))

    def renew(self, owner: str, lease: float) -> None:
        """Prolong the enable; raises EnableRefused when `owner` does not hold it."""
        self._ask(Event(Kind.RENEW, self.ticket(), owner, lease))

    def disable(self) -> None:
        """Hold still and refuse commands; from anybody, at any time."""
        self._ask(Event(Kind.DISABLE, self.ticket()))

    def stop(self, reason: Stop, detail: str) -> None:
        """Latch a stop; the caller must stop the driver as well."""
        self._ask(Event(Kind.STOP, self.ticket(), reason=reason, detail=detail))

    def recover(self) -> None:
        """Forget a latched stop after the driver has recovered; the arm is disabled then.

        Raises EnableRefused where nothing is stopped or a fault is still there.
        """
        self._ask(Event(Kind.RECOVER, self.ticket()))
        self._ask(Event(Kind.RECOVERED))

    def _ask(self, event: Event) -> None:
        verdict = self.request(event)
        if verdict.refusal:
            raise EnableRefused(verdict.refusal)

    def state(self) -> EnvelopeState:
        """Return where the envelope stands, with its counts; from any thread."""
        return replace(self._kept, lease_left=self._admission.lease_left)

    @property
    def last_stop(self) -> int:
        """Return the highest ticket of a stop that has had its effect."""
        return self._admission.memory.last_stop

    @property
    def taken_over(self) -> bool:
        """Tell whether the owner commands by hand, and the policy does not."""
        return self._admission.memory.state is State.TAKEN_OVER

    @property
    def takeover(self) -> int:
        """Return the number of the takeover that lasts, 0: the policy commands."""
        return self._counts["takeovers"] if self.taken_over else 0

    @property
    def commanded(self) -> Joints | None:
        """Return the joints (N,) rad that were commanded last; None before an enable's first."""
        return self._shaping.commanded if self._started else None

    def _keep(self) -> None:
        """Leave a state for other threads, whole."""
        memory, count = self._admission.memory, self._counts
        self._kept = EnvelopeState(
            self._admission.status,
            memory.reason,
            self._detail(),
            self._revision,
            memory.owner,
            self._admission.lease_left,
            count["sent"],
            count["limited"],
            count["refused"],
            count["held"],
            memory.stops,
            self.taken_over,
            count["takeovers"],
            self._measured.sag,
            self._next_step(),
        )

    def _detail(self) -> str:
        """Say why an arm is stopped or offline, and that it recovers; empty when it is neither."""
        memory = self._admission.memory
        if memory.state is State.RECOVERING:
            return f"{memory.detail}; recovering"
        offline = memory.state is State.OFFLINE
        return memory.detail or (self._admission.offline_words if offline else "")

    def _next_step(self) -> str:
        memory = self._admission.memory
        if memory.reason is None or memory.state is State.RECOVERING:
            return ""
        return NEXT_STEPS[memory.reason]

    def watch(self, reading: RobotReading | None) -> TickOutcome | None:
        """Look at the robot between ticks; a TickOutcome when that latched a stop."""
        outcome = self._watched(-1, reading, None)
        self._keep()
        return outcome

    def tick(
        self, number: int, reading: RobotReading | None, command: ArmCommand | None
    ) -> TickOutcome:
        """Decide about one control tick.

        Args:
            number: counts ticks from 0.
            reading: of this moment; None without a connection.
            command: what the source has; None: nothing.
        """
        outcome = self._count(self._decide(number, reading, command))
        self._keep()
        return outcome

    def _decide(
        self, number: int, reading: RobotReading | None, command: ArmCommand | None
    ) -> TickOutcome:
        stopped = self._watched(number, reading, command)
        if stopped is not None:
            return stopped
        if self._admission.status is not Status.ENABLED or reading is None:
            return self._idle(number, reading, command)
        now = self._clock()
        problem = self._late(now)
        if problem is not None:
            return self._latch(number, reading, command, problem)
        return self._moving(number, reading, command, now)

    def _blocked(self, reading: RobotReading, way_back: bool) -> str:
        """Return in words why the arm may not be enabled as it stands, empty when it may."""
        if reading.blocked:
            return reading.blocked
        limits, margin, q = self._settings.limits, self._settings.margin, reading.q
        beyond = np.maximum(limits.lower - q, q - limits.upper) + margin
        joint = int(np.argmax(beyond))
        if way_back and beyond[joint] <= 0:
            return "Every joint is within its range and margin: no way back is needed."
        if beyond[joint] > (margin + FURTHEST if way_back else margin / 2):
            return (
                f"Joint {joint + 1} is at {q[joint]:.3f} rad, {beyond[joint]:.3f} rad inside "
                "its margin. Call the way back (bridge/way_back), or move it away by hand first."
            )
        outside = self._shaping.outside(q)
        if outside > RETURN:
            return (
                f"The arm is {outside:.4f} m outside its workspace; allowed: {RETURN:g} m. Move "
                "it by hand first, or correct the workspace in the robot's file."
            )
        return ""

    def _watched(
        self, number: int, reading: RobotReading | None, command: ArmCommand | None
    ) -> TickOutcome | None:
        problem = self._problem(reading)
        here = reading is not None and (problem is None or problem[0] is not Stop.STALE_READING)
        self._reading = reading if here else None
        if self._admission.status is not Status.ENABLED:
            self._admission.handle(Event(Kind.APPEARED if here else Kind.VANISHED))
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
        if admission.status is not Status.ENABLED:
            known = problem is not None and problem[0] is Stop.JOINT_RANGE
            return None if known else problem  # a joint out of its range stands; it is not enabled
        known = self._way_back and problem is not None and problem[0] is Stop.JOINT_RANGE
        if problem is not None and not known:
            return problem
        if admission.lease_left <= 0:
            return (
                Stop.LEASE_EXPIRED,
                f"{admission.memory.owner!r} did not renew its enable in time",
            )
        if reading.blocked:
            return Stop.CONTROL_LOST, reading.blocked
        if self._had_control and not reading.in_control:
            return Stop.CONTROL_LOST, "the robot has stopped following, and names no reason"
        if self._fed is None:
            return None
        self._had_control |= reading.in_control
        return self._stale(now) or self._measured.problem(reading)

    def _stale(self, now: float) -> Problem | None:
        watchdog = self._settings.watchdog
        if self._fed is None or now - self._fed <= watchdog:
            return None
        age = now - self._fed
        return Stop.STALE_COMMAND, f"no valid command for {age:.3f} s; allowed: {watchdog:g} s"

    def _late(self, now: float) -> Problem | None:
        """A control thread that was held up knows neither the arm nor its commands any more."""
        last, self._last_tick = self._last_tick, now
        slept, self._last_slept = self._slept() - self._last_slept, self._slept()
        if last is not None and slept > self._settings.watchdog:
            return Stop.LATE_TICK, f"the computer was suspended for {slept:.1f} s"
        longest = self._settings.period + self._settings.watchdog
        if last is None or now - last <= longest:
            return None
        gap = now - last
        return Stop.LATE_TICK, f"a tick came {gap:.3f} s after the last; allowed: {longest:.3f} s"

    def _latch(
        self, number: int, reading: RobotReading | None, command: ArmCommand | None, why: Problem
    ) -> TickOutcome:
        reason, detail = why
        self._admission.handle(Event(Kind.TROUBLE, reason=reason, detail=detail))
        if command is not None:
            self._revision = command.steering_revision
        measured = None if reading is None else reading.q
        return TickOutcome(
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
    ) -> TickOutcome:
        status = self._admission.status
        measured = None if reading is None else reading.q
        wanted = command is not None and command.values is not None
        return TickOutcome(
            number,
            self._clock(),
            status,
            command,
            measured,
            refused=_BY_STATUS[status] if wanted else None,
        )

    def _moving(
        self, number: int, reading: RobotReading, command: ArmCommand | None, now: float
    ) -> TickOutcome:
        if not self._started:
            self._started = True
            self._shaping.start(reading.q)
        if self._way_back:
            return self._going_back(number, reading, command, now)
        refusal: Refusal | None = None
        if command is not None:
            refusal = self._not_in_charge(command) or refusal_of(
                command, self._space, self._settings.watchdog, now
            )
            if refusal is None:
                self._fed, self._revision = command.stamp, command.steering_revision
        shaped = self._shape(command if refusal is None else None, reading)
        if shaped is None:
            why = Stop.WORKSPACE, "braking within the limits would leave the workspace"
            return self._latch(number, reading, command, why)
        return TickOutcome(
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

    def _not_in_charge(self, command: ArmCommand) -> Refusal | None:
        """Never both in one tick: who does not command is not followed, whatever it asks for."""
        by_person = command.commander is Commander.PERSON
        if command.values is None or by_person is self.taken_over:
            return None
        who = ("the policy", "a person")
        return Refused.NOT_IN_CHARGE, f"{who[by_person]} asks and {who[not by_person]} commands"

    def _going_back(
        self, number: int, reading: RobotReading, command: ArmCommand | None, now: float
    ) -> TickOutcome:
        """Move slowly towards the joints' ranges, whatever the source asks for; then hold still."""
        limits, margin = self._settings.limits, self._settings.margin + WELL_INSIDE
        goal = np.clip(reading.q, limits.lower + margin, limits.upper - margin)
        if (np.abs(goal - reading.q) < WELL_INSIDE / 2).all():
            self._admission.handle(Event(Kind.DISABLE))
            return self._idle(number, reading, command)
        self._fed = now
        lead = np.clip(goal - reading.q, -BACK_LEAD, BACK_LEAD)
        sent, names = self._shaping.follow(reading.q + lead, reading.q, self._revision)
        if sent is None:
            why = Stop.WORKSPACE, "the way back would leave the workspace"
            return self._latch(number, reading, command, why)
        return TickOutcome(number, now, Status.ENABLED, None, reading.q, goal, sent, limits=names)

    def _shape(self, command: ArmCommand | None, reading: RobotReading) -> _Shaped | None:
        """Return what to send; None: nothing that can be sent is safe."""
        nan = float("nan")
        if command is not None and command.values is not None:
            target = self._space.target(np.asarray(command.values, float), reading.q)
            self._measured.asked(reading.q, target.q)
            sent, limits = self._shaping.follow(target.q, reading.q, command.steering_revision)
            closing = nan if command.leaves_gripper else target.closing
            return None if sent is None else _Shaped(target.q, sent, closing, limits)
        if self._fed is None:
            return _Shaped(None, None, nan, ())  # nobody has commanded it yet: it just stands
        self._measured.asked(reading.q, None)
        sent, limits = self._shaping.hold()
        return None if sent is None else _Shaped(None, sent, nan, limits)

    def _count(self, outcome: TickOutcome) -> TickOutcome:
        count = self._counts
        count["sent"] += outcome.sent is not None
        count["limited"] += outcome.sent is not None and bool(outcome.limits)
        count["refused"] += outcome.refused is not None
        count["held"] += outcome.status is Status.ENABLED and outcome.requested is None
        return outcome
