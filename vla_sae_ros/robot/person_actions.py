"""A person's velocities as actions of the arm's own action space, which the envelope then judges.

So they meet the same guards as the policy's, and what is recorded is in the policy's units.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from vla_sae_ros.core.person import PersonCommand, PersonInput
from vla_sae_ros.robot.action_space import ActionSpace, Target
from vla_sae_ros.robot.driver import Joints, RobotReading
from vla_sae_ros.robot.envelope.envelope import SafetyEnvelope
from vla_sae_ros.robot.settings import RobotSettings

DAMPING = 0.05
"""Of the least squares: near a singular pose the tool lags behind, instead of the joints racing."""


@dataclass(frozen=True)
class PersonAction:
    """What a person asks for at one tick."""

    values: Joints | None
    """(A,); None: nothing, hold still."""
    leaves_gripper: bool = True
    """Nobody has asked anything of the gripper yet."""


class PersonActions:
    """Turns the newest command into an action; on the control thread.

    Args:
        person: what is asked for.
        envelope: knows who commands, and where the arm was sent last.
    """

    def __init__(
        self,
        person: PersonInput,
        envelope: SafetyEnvelope,
        settings: RobotSettings,
        space: ActionSpace,
    ) -> None:
        self.person = person
        self._envelope, self._settings, self._space = envelope, settings, space

    @property
    def in_charge(self) -> bool:
        """Tell whether a person commands this tick."""
        self.person.note(self._envelope.takeover)
        return self._envelope.taken_over

    def action(self, reading: RobotReading, closing: float) -> PersonAction:
        """Return what is asked for.

        Args:
            closing: the gripper's last request by anybody; NaN: none.
        """
        command = self.person.newest()
        if command is None:
            return PersonAction(None)
        asked = self.person.closing if not math.isnan(self.person.closing) else closing
        commanded = self._envelope.commanded
        start = reading.q if commanded is None else commanded
        velocity = self._joints(command, start)
        known = not math.isnan(asked)
        target = Target(start + self._way_to_rest(velocity), asked if known else _measured(reading))
        return PersonAction(self._space.action(target, reading.q), not known)

    def _joints(self, command: PersonCommand, q: Joints) -> Joints:
        """Return (N,) rad/s, slowed down together where one joint would be too fast."""
        place, fastest = self._settings.place, self._settings.limits.velocity
        velocity = command.velocity
        if not command.joints:
            assert place is not None, "twists are for arms with kinematics"
            jacobian = place.kinematics.jacobian(q)
            damped = jacobian @ jacobian.T + DAMPING**2 * np.eye(6)
            velocity = jacobian.T @ np.linalg.solve(damped, velocity)
        return velocity / max(1.0, float((np.abs(velocity) / fastest).max()))

    def _way_to_rest(self, velocity: Joints) -> Joints:
        """Return how far a tick of (N,) rad/s and the hardest braking after it go (N,) rad.

        A target as far away as that is what the envelope approaches with this velocity.
        """
        period = self._settings.period
        step = self._settings.limits.acceleration * period
        speed = np.abs(velocity)
        ticks = np.floor(speed / step)
        return np.sign(velocity) * period * ((ticks + 1) * speed - step * ticks * (ticks + 1) / 2)


def _measured(reading: RobotReading) -> float:
    """Return the gripper as it is, 0 = open, 1 = closed; for the record."""
    return 0.0 if math.isnan(reading.opening) else 1.0 - reading.opening
