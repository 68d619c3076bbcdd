"""An arm that follows late and overshoots, as measured arms do: written anew, not the product's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vla_sae_ros.robot.command import ArmCommand
from vla_sae_ros.robot.driver import RobotReading
from vla_sae_ros.robot.droid import DroidActions
from vla_sae_ros.robot.envelope.envelope import SafetyEnvelope
from vla_sae_ros.robot.reasons import Status
from vla_sae_ros.robot.settings import RobotSettings

SUBSTEPS = 66
"""Steps of the mechanics in a tick."""


@dataclass
class Worst:
    """What came of a run."""

    ticks: int = 0
    outside: float = -np.inf
    """[m] of the measured arm."""
    velocity: float = 0.0
    """Of what is sent, as a share of our own limit."""
    acceleration: float = 0.0
    """The same."""
    margin: float = np.inf
    """[rad] that what is sent stays away from the end of a range, less the margin."""
    tool_step: float = 0.0
    """[m] per tick of what is sent."""
    stops: int = 0


class LaggingArm:
    """A second-order follower: natural frequency [rad/s] and damping of every joint."""

    def __init__(self, q: np.ndarray, frequency: float, damping: float) -> None:
        self.q, self.dq = q.copy(), np.zeros_like(q)
        self._stiffness, self._damping = frequency**2, 2 * damping * frequency

    def follow(self, before: np.ndarray, target: np.ndarray, period: float) -> None:
        """Draw towards a target that moves evenly through a tick."""
        step = period / SUBSTEPS
        for share in np.linspace(1 / SUBSTEPS, 1.0, SUBSTEPS):
            goal = before + share * (target - before)
            self.dq += step * (self._stiffness * (goal - self.q) - self._damping * self.dq)
            self.q = self.q + step * self.dq


def drive(settings: RobotSettings, seed: int, ticks: int, damping: float = 0.7) -> Worst:
    """Let random actions drive a lagging arm, also along every edge; return the worst of it."""
    rng, worst = np.random.default_rng(seed), Worst()
    place = settings.place
    assert place is not None

    class Clock:
        now = 10.0

        def __call__(self) -> float:
            return self.now

    while worst.ticks < ticks:
        clock = Clock()
        envelope = SafetyEnvelope(settings, DroidActions(), clock)
        arm = LaggingArm(settings.reset_pose, frequency=18.0, damping=damping)
        before, speed = arm.q.copy(), np.zeros(settings.joints)

        def reading(arm: LaggingArm = arm, clock: Clock = clock) -> RobotReading:
            return RobotReading(clock.now, arm.q.copy(), arm.dq.copy(), 1.0, True)

        envelope.tick(0, reading(), None)
        envelope.enable("test", settings.lease)
        for tick in range(1, 400):
            if tick % 20 == 1:
                action = np.append(rng.uniform(-1.0, 1.0, settings.joints), 0.0)
            clock.now += settings.period
            envelope.renew("test", settings.lease)
            noisy = action + np.append(rng.normal(0.0, 0.1, settings.joints), 0.0)
            outcome = envelope.tick(tick, reading(), ArmCommand(clock.now, noisy))
            worst.ticks += 1
            if outcome.status is not Status.ENABLED:
                worst.stops += 1
                break
            sent = outcome.sent
            v = (sent - before) / settings.period
            a = (v - speed) / settings.period
            limits = settings.limits
            worst.velocity = max(worst.velocity, float((np.abs(v) / limits.velocity).max()))
            share = float((np.abs(a) / limits.acceleration).max())
            worst.acceleration = max(worst.acceleration, share)
            free = np.minimum(sent - limits.lower, limits.upper - sent) - settings.margin
            worst.margin = min(worst.margin, float(free.min()))
            tools = place.kinematics.tool(np.array([before, sent]))
            worst.tool_step = max(worst.tool_step, float(np.linalg.norm(tools[1] - tools[0])))
            speed = v
            arm.follow(before, sent, settings.period)
            before = sent
            points = place.kinematics.points(arm.q)
            worst.outside = max(worst.outside, float(place.workspace.outside(points)))
    return worst
