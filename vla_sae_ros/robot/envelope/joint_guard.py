"""Velocity, acceleration, jerk and range of every joint, tick by tick.

Everything is said as "which joint velocity may the next tick have": so the guards compose, for
each narrows it, and braking as hard as allowed stays possible at every tick. A joint whose velocity
satisfies `v <= stoppable(distance)` after a tick can be braked before its margin, and satisfies it
again after braking for a tick. So range, velocity and acceleration always hold. Jerk yields where
braking in time needs more: even then it stays below 2 x acceleration / tick, far below the maker's
limit at the rates used here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vla_sae_ros.robot.driver import Joints
from vla_sae_ros.robot.limits import RobotLimits
from vla_sae_ros.robot.reasons import Limit

_SAME = 1e-9
"""[rad/s] below which a change of a velocity is rounding."""


@dataclass(frozen=True)
class Motion:
    """What was commanded last; the guards never trust a measured velocity."""

    q: Joints
    """(N,) [rad]"""
    v: Joints
    """(N,) [rad/s]"""
    a: Joints
    """(N,) [rad/s^2]"""

    @staticmethod
    def resting(q: Joints) -> Motion:
        """Return the motion of an arm that stands at (N,) rad."""
        return Motion(q.copy(), np.zeros_like(q), np.zeros_like(q))

    def after(self, v: Joints, period: float) -> Motion:
        """Return the motion after a tick of (N,) rad/s."""
        return Motion(self.q + v * period, v, (v - self.v) / period)


class JointGuard:
    """Limits per joint.

    Args:
        limits: our own, scaled ones.
        margin: [rad] kept free at both ends of every range.
        period: [s] of a tick.
        reaction: [s] by which the arm brakes later than it is told, kept free at the margins.
    """

    def __init__(
        self, limits: RobotLimits, margin: float, period: float, reaction: float = 0.0
    ) -> None:
        self._reaction = reaction
        self._limits = limits
        self._lower, self._upper = limits.lower + margin, limits.upper - margin
        self._period = period

    def next_velocity(self, motion: Motion, target: Joints) -> tuple[Joints, list[Limit]]:
        """Return (N,) rad/s for the next tick towards (N,) rad, and the limits that changed it."""
        limits, period = self._limits, self._period
        error = target - motion.q
        v, names = error / period, _Names()
        v = names.clip(Limit.VELOCITY, v, -limits.velocity, limits.velocity)
        low, high = self._range(motion.q)
        v = names.clip(Limit.JOINT_MARGIN, v, low, high)
        reach = self._stoppable(np.abs(error))
        v = names.clip(Limit.ACCELERATION, v, -reach, reach)
        jerk = limits.jerk * period
        v = names.clip(
            Limit.JERK,
            v,
            motion.v + (motion.a - jerk) * period,
            motion.v + (motion.a + jerk) * period,
        )
        return self._possible(motion, v, low, high, names), names.found

    def braking(self, motion: Motion) -> Joints:
        """Return (N,) rad/s for the next tick of an arm that brakes as hard as allowed."""
        step = self._limits.acceleration * self._period
        return np.sign(motion.v) * np.maximum(0.0, np.abs(motion.v) - step)

    def to_rest(self, v: Joints) -> Joints:
        """Return (..., T, N) rad/s: a tick of (..., N) rad/s, then hardest braking to rest."""
        step = self._limits.acceleration * self._period
        lost = np.arange(np.ceil((self._limits.velocity / step).max()) + 1)[:, None] * step
        speed = np.maximum(0.0, np.abs(v)[..., None, :] - lost)
        return np.sign(v)[..., None, :] * speed

    def _possible(
        self, motion: Motion, v: Joints, low: Joints, high: Joints, names: _Names
    ) -> Joints:
        """Bring back what the jerk limit carried too far; acceleration and range never yield."""
        limits = self._limits
        step = limits.acceleration * self._period
        floor = np.maximum.reduce([motion.v - step, low, -limits.velocity])
        ceiling = np.minimum.reduce([motion.v + step, high, limits.velocity])
        bounded = names.clip(Limit.ACCELERATION, v, floor, ceiling)
        return np.where(floor > ceiling, self.braking(motion), bounded)

    def _range(self, q: Joints) -> tuple[Joints, Joints]:
        down = self._stoppable(q - self._lower, self._reaction)
        return -down, self._stoppable(self._upper - q, self._reaction)

    def _stoppable(self, distance: Joints, reaction: float = 0.0) -> Joints:
        """Return the highest velocity after whose tick braking ends within `distance`, (N,) rad.

        A tick of v and n ticks of braking take (n + 1) v dt - a dt^2 n (n + 1) / 2, where n is
        the number of ticks that braking from v takes, and v times the reaction before; solved for
        v. 0 when nothing is left.
        """
        step = self._limits.acceleration * self._period
        share = np.maximum(0.0, distance) / (step * self._period)
        late = reaction / self._period
        first = 1 + 2 * late
        ticks = np.floor((np.sqrt(first**2 + 8 * share) - first) / 2)
        return step * (share + ticks * (ticks + 1) / 2) / (ticks + 1 + late)


class _Names:
    """Collects the limits that changed something, once each, in the order in which they did."""

    def __init__(self) -> None:
        self.found: list[Limit] = []

    def clip(self, limit: Limit, v: Joints, low: Joints, high: Joints) -> Joints:
        clipped = np.minimum(np.maximum(v, low), high)
        if limit not in self.found and (np.abs(clipped - v) > _SAME).any():
            self.found.append(limit)
        return clipped
