"""An arm driven by the check itself, through the same cycle and envelope as in a run."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from vla_sae_ros.robot.action_space import JointTargets
from vla_sae_ros.robot.command import ArmCommand
from vla_sae_ros.robot.driver import Driver, Joints, RobotError, RobotReading
from vla_sae_ros.robot.envelope.envelope import SafetyEnvelope
from vla_sae_ros.robot.loop.cycle import ControlCycle
from vla_sae_ros.robot.loop.pacing import Pacer
from vla_sae_ros.robot.next_steps import with_next_step
from vla_sae_ros.robot.reasons import Status, Stop
from vla_sae_ros.robot.settings import RobotSettings

LOOK = 0.002
"""[s] between two looks at the robot."""
SLOW = 0.2
"""Of the lab's own velocity limits."""
_OWNER = "robot check"


class CheckStopped(RobotError):
    """The envelope stopped the arm during the check."""


@dataclass(frozen=True)
class Sample:
    """One look."""

    stamp: float
    """[s] monotonic."""
    q: Joints
    """(N,) [rad]"""
    dq: Joints
    """(N,) [rad/s]"""


class Rehearsal:
    """Owns the driver on the calling thread; slow, and gone with the block."""

    def __init__(
        self,
        driver: Driver,
        settings: RobotSettings,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.settings = replace(settings, limits=settings.limits.scaled(SLOW, 1.0, 1.0))
        self._clock, self._sleep = clock, sleep
        space = JointTargets(settings.published.lower, settings.published.upper, gripper=False)
        self._envelope = SafetyEnvelope(self.settings, space, clock)
        self._cycle = ControlCycle(driver, self._envelope, self)
        self._pacer = Pacer(settings.period, clock())
        self._target: Joints | None = None
        self.asked_at = float("nan")
        """[s] when the newest target was first sent."""

    def __enter__(self) -> Rehearsal:
        self._cycle.connect()
        return self

    def __exit__(self, *_: object) -> None:
        self._envelope.disable()
        self._cycle.close()

    @property
    def reading(self) -> RobotReading:
        """Return the newest reading; raises CheckStopped without one."""
        if self._cycle.reading is None:
            raise CheckStopped("There is no connection to the robot any more.")
        return self._cycle.reading

    @property
    def pacer(self) -> Pacer:
        """Return how punctual the ticks were."""
        return self._pacer

    def next(self, reading: RobotReading, now: float) -> ArmCommand | None:
        """Be the cycle's source."""
        return ArmCommand(now, None if self._target is None else self._target.copy())

    def watch(self, seconds: float) -> list[Sample]:
        """Tick without enabling; return what was seen."""
        return self._run(seconds, lambda _: False)

    def enable(self) -> None:
        """Enable from here; raises EnableRefused where the arm must not start."""
        self._target = None
        self._envelope.enable(_OWNER, self.settings.lease)

    def go(
        self, target: Joints, seconds: float, near: float, still: float = np.inf
    ) -> list[Sample]:
        """Move to (N,) rad; return what was seen until it was there, or for `seconds`.

        There: every joint within `near` rad of it and slower than `still` rad/s.

        Raises:
            CheckStopped: the envelope stopped the arm.
        """
        self._target = target
        self.asked_at = self._clock()

        def there(sample: Sample) -> bool:
            slow = np.abs(sample.dq).max() < still
            return bool(slow and np.abs(sample.q - target).max() < near)

        return self._run(seconds, there)

    def stop(self, seconds: float, still: float) -> list[Sample]:
        """Brake at once; return what was seen until every joint was slower than `still` rad/s."""
        self.asked_at = self._clock()
        self._envelope.stop(Stop.OPERATOR_STOP, "the check measures the stop distance")
        self._cycle.let_go()
        self._target = None
        samples = self._run(seconds, lambda s: bool(np.abs(s.dq).max() < still), stopped=True)
        self._cycle.recover()
        return samples

    def _run(
        self, seconds: float, done: Callable[[Sample], bool], stopped: bool = False
    ) -> list[Sample]:
        samples: list[Sample] = []
        until = self._clock() + seconds
        self._pacer.restart(self._clock())
        while (now := self._clock()) < until:
            if now >= self._pacer.due:
                self._cycle.tick(self._pacer.begin(now), now)
                self._renew()
            else:
                self._cycle.look()
            self._raise_when_stopped(stopped)
            samples.append(Sample(self._clock(), self.reading.q, self.reading.dq))
            if done(samples[-1]):
                break
            self._sleep(max(0.0, min(LOOK, self._pacer.due - self._clock())))
        return samples

    def _renew(self) -> None:
        if self._envelope.state().status is Status.ENABLED:
            self._envelope.renew(_OWNER, self.settings.lease)

    def _raise_when_stopped(self, expected: bool) -> None:
        state = self._envelope.state()
        if state.status is Status.STOPPED and not expected:
            raise CheckStopped(
                with_next_step(f"The arm was stopped: {state.said}", state.next_step)
            )
