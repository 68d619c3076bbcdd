"""What a controller makes of our messages: its own interpolation, written anew here."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from arm_rig import action, rig_for

from vla_sae_ros.nodes.robot.controller_outputs import output_for
from vla_sae_ros.robot.reasons import Status
from vla_sae_ros.robot.settings_file import load_robot

NAMES = [f"joint{number}" for number in range(1, 8)]
FINE = 1e-3
"""[s] of the controller."""


class TrajectoryController:
    """joint_trajectory_controller's open loop: cubics through positions and velocities.

    A new trajectory is entered from what is desired at that moment.
    """

    def __init__(self, q: np.ndarray) -> None:
        self.time, self.q, self.v = 0.0, q.copy(), np.zeros_like(q)
        self.knots: list[tuple[float, np.ndarray, np.ndarray]] = []
        self.hardest = np.zeros_like(q)
        self.fastest = np.zeros_like(q)

    def take(self, message: Any) -> None:
        self.knots = [(self.time, self.q.copy(), self.v.copy())]
        for point in message.points:
            after = point.time_from_start.sec + 1e-9 * point.time_from_start.nanosec
            knot = (self.time + after, np.array(point.positions), np.array(point.velocities))
            self.knots.append(knot)

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds / FINE)):
            self.time += FINE
            self._step()

    def _step(self) -> None:
        for (t0, q0, v0), (t1, q1, v1) in pairwise(self.knots):
            if t0 <= self.time <= t1 + 1e-9:
                h, s = t1 - t0, self.time - t0
                c2 = (3 * (q1 - q0) - (2 * v0 + v1) * h) / h**2
                c3 = (2 * (q0 - q1) + (v0 + v1) * h) / h**3
                self.q = q0 + v0 * s + c2 * s**2 + c3 * s**3
                self.v = v0 + 2 * c2 * s + 3 * c3 * s**2
                self.hardest = np.maximum(self.hardest, np.abs(2 * c2 + 6 * c3 * s))
                self.fastest = np.maximum(self.fastest, np.abs(self.v))
                return
        if self.knots:
            self.q, self.v = self.knots[-1][1], self.knots[-1][2]


@pytest.mark.parametrize("name", ["panda", "fr3"])
def test_interpolated_by_the_controller_the_arm_keeps_to_our_own_acceleration(
    name: str,
) -> None:
    settings = load_robot(name)
    _, make = output_for("joint_trajectory", settings, NAMES, "base")
    rig = rig_for(settings)
    rig.envelope.enable("panel", 1.0)
    controller = TrajectoryController(settings.reset_pose)
    rng = np.random.default_rng(4)
    for tick in range(120):
        measured = rig.driver.q.copy()
        flips = 1.0 if tick % 9 < 5 else -1.0
        outcome = rig.tick(flips * action(1, 1.0) + np.append(rng.uniform(-0.3, 0.3, 7), 0.0))
        assert outcome.status is Status.ENABLED
        controller.take(make(outcome.sent, measured, 0))
        controller.run(settings.period)
    controller.run(2.0)
    # Its ticks are not ours: a target comes up to a millisecond late.
    assert (controller.hardest <= 1.2 * settings.limits.acceleration).all()
    assert (controller.fastest <= 1.03 * settings.limits.velocity).all()
    assert not controller.v.any(), "it ends at rest when nothing comes any more"
    assert np.allclose(controller.q, controller.knots[-1][1])


def test_a_twist_never_asks_for_more_tool_speed_than_a_step_per_tick() -> None:
    settings = load_robot("fr3")
    _, make = output_for("twist", settings, NAMES, "base")
    far = settings.reset_pose + 0.2
    twist = make(far, settings.reset_pose, 0).twist
    speed = np.linalg.norm([twist.linear.x, twist.linear.y, twist.linear.z])
    assert speed == pytest.approx(settings.place.max_ee_step / settings.period)
