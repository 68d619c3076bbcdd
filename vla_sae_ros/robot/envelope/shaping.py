"""From a target to what is sent: steering slew, joint step, joint limits, then place."""

from __future__ import annotations

import numpy as np

from vla_sae_ros.robot.driver import Joints
from vla_sae_ros.robot.envelope.joint_guard import JointGuard, Motion
from vla_sae_ros.robot.envelope.place_guard import PlaceGuard
from vla_sae_ros.robot.envelope.steering_slew import SteeringSlew
from vla_sae_ros.robot.reasons import Limit
from vla_sae_ros.robot.settings import RobotSettings


class Shaping:
    """Keeps the commanded motion of one enabled arm; `start` before the first tick."""

    def __init__(self, settings: RobotSettings) -> None:
        period = settings.period
        self._period = period
        self._max_step = settings.max_joint_step
        self._slew = SteeringSlew(settings.steering_slew, period)
        self._limits, self._margin = settings.limits, settings.margin
        self._joints = JointGuard(settings.limits, settings.margin, period, settings.reaction)
        self._place = (
            None
            if settings.place is None
            else PlaceGuard(settings.place, self._joints, period, settings.reaction)
        )
        self._motion: Motion | None = None
        self._beyond: Joints = np.zeros(settings.joints)
        self._began_outside = 0.0

    def start(self, q: Joints) -> None:
        """Begin at rest at the measured joints (N,) rad."""
        self._motion = Motion.resting(q)
        self._slew.reset()
        deeper = np.maximum(self._limits.lower - q, q - self._limits.upper) + self._margin / 2
        self._beyond = np.maximum(0.0, deeper)
        if self._place is not None:
            self._place.start(q)
        self._began_outside = self.edge

    @property
    def began_outside(self) -> float:
        """Return how far outside its workspace the arm stood at the start [m]; 0: it did not."""
        return self._began_outside

    def hand_over(self) -> None:
        """Let the next target be another commander's: from where the arm was sent last."""
        self._slew.hand_over()

    @property
    def commanded(self) -> Joints | None:
        """Return the joints (N,) rad that were commanded last; None before `start`."""
        return None if self._motion is None else self._motion.q

    @property
    def moving(self) -> bool:
        """Tell whether what was commanded last moves."""
        return self._motion is not None and bool(self._motion.v.any())

    @property
    def beyond(self) -> Joints:
        """Return how much more than half into its margin each joint stood at the start (N,) rad."""
        return self._beyond

    @property
    def edge(self) -> float:
        """Return how far outside its workspace the arm may be commanded [m]."""
        return 0.0 if self._place is None else self._place.edge

    def outside(self, q: Joints) -> float:
        """Return how far an arm at (N,) rad is outside its workspace [m]; 0 or less: inside."""
        return -np.inf if self._place is None else self._place.outside(q)

    def follow(
        self, target: Joints, q: Joints, revision: int
    ) -> tuple[Joints | None, tuple[Limit, ...]]:
        """Return what to send (N,) rad instead of `target`, and which limits changed it.

        None: braking would leave the workspace; the arm has to be stopped.
        """
        assert self._motion is not None, "start() comes first"
        lead, slewed = self._slew.apply(revision, target - q, self._motion.q - q)
        names = [Limit.STEERING_SLEW] if slewed else []
        largest = float(np.abs(lead).max())
        if largest > self._max_step * (1 + 1e-9):
            lead = lead * (self._max_step / largest)
            names.append(Limit.JOINT_STEP)
        v, found = self._joints.next_velocity(self._motion, q + lead)
        return self._move(v, names + found)

    def hold(self) -> tuple[Joints | None, tuple[Limit, ...]]:
        """Brake, or stay; returns as `follow` does."""
        assert self._motion is not None, "start() comes first"
        self._slew.hold()
        return self._move(self._joints.braking(self._motion), [])

    def _move(self, v: Joints, names: list[Limit]) -> tuple[Joints | None, tuple[Limit, ...]]:
        assert self._motion is not None
        allowed: Joints | None = v
        if self._place is not None:
            allowed, found = self._place.next_velocity(self._motion, v)
            names = names + found
        if allowed is None:
            return None, tuple(names)
        self._motion = self._motion.after(allowed, self._period)
        if self._place is not None:
            self._place.moved(self._motion.q)
        return self._motion.q.copy(), tuple(names)
