"""What the strict robot takes, against the published numbers."""

from __future__ import annotations

import numpy as np
import pytest
from franky_sim.franka_robot_protocol import (
    RobotMode,
    StateControllerMode,
    StateMotionGeneratorMode,
)
from franky_sim.franka_robot_state import FrankaRobotState

from vla_sae_ros.robot.drivers.error_flags import ERROR_FLAGS
from vla_sae_ros.robot.droid import RESET_POSE
from vla_sae_ros.robot.limits import FR3, PANDA
from vla_sae_ros.robot.strict_sim.arm import Arm
from vla_sae_ros.robot.strict_sim.clock import StrictClock
from vla_sae_ros.robot.strict_sim.rules import CommandRules, MissedCommands
from vla_sae_ros.robot.strict_sim.state_packet import StatePacket

FIRST = np.eye(7)[0]
STILL = np.zeros(7)


def test_nineteen_missed_commands_are_forgiven_and_the_twentieth_is_not() -> None:
    missed = MissedCommands()
    missed.start()
    for _ in range(3):
        assert not any(missed.tick(False) for _ in range(19))
        assert not missed.tick(True)
    assert [missed.tick(False) for _ in range(20)] == [False] * 19 + [True]
    assert (missed.longest, missed.total) == (20, 77)


@pytest.mark.parametrize(
    ("dq", "ticks", "flag"),
    [
        (0.009 * FIRST, 1, ""),
        (0.011 * FIRST, 1, "joint_motion_generator_velocity_discontinuity"),
        (0.018 * FIRST, 2, ""),
        (2.8 * FIRST, 1000, "joint_motion_generator_velocity_limits_violation"),
        (np.nan * FIRST, 1, "joint_motion_generator_velocity_limits_violation"),
    ],
)
def test_velocities_of_an_fr3_at_ten_radians_per_second_squared(
    dq: np.ndarray, ticks: int, flag: str
) -> None:
    assert CommandRules(FR3).velocity(RESET_POSE, dq, STILL, ticks) == flag


def test_near_the_end_of_its_range_an_fr3_allows_less() -> None:
    end = RESET_POSE.copy()
    end[0] = 2.7
    rules, fast = CommandRules(FR3), 0.6 * FIRST
    assert rules.velocity(RESET_POSE, fast, fast, 1) == ""
    assert rules.velocity(end, fast, fast, 1) == "joint_motion_generator_velocity_limits_violation"
    assert CommandRules(PANDA).velocity(end, fast, fast, 1) == ""


@pytest.mark.parametrize(
    ("tau", "flag"),
    [
        (0.9 * FIRST, ""),
        (1.1 * FIRST, "controller_torque_discontinuity"),
        (95.0 * FIRST, "tau_j_range_violation"),
        (np.inf * FIRST, "tau_j_range_violation"),
    ],
)
def test_torques_change_by_one_newtonmetre_per_millisecond(tau: np.ndarray, flag: str) -> None:
    assert CommandRules(FR3).torque(tau, STILL, 1) == flag


def test_an_arm_beyond_its_range_or_too_fast_is_stopped() -> None:
    rules, beyond = CommandRules(FR3), RESET_POSE.copy()
    beyond[3] = -3.05
    assert rules.measured(RESET_POSE, STILL) == ""
    assert rules.measured(beyond, STILL) == "joint_position_limits_violation"
    assert rules.measured(RESET_POSE, 3.0 * FIRST) == "joint_velocity_violation"


def test_the_packet_is_franky_sim_s() -> None:
    rng = np.random.default_rng(0)
    values = {name: rng.normal(size=7) for name in ("q", "dq", "q_d", "tau_J", "theta")}
    errors = rng.random(len(ERROR_FLAGS)) < 0.3
    packet = StatePacket()
    for name, value in values.items():
        packet[name][:] = value
    packet["errors"][:] = errors
    packet["O_T_EE"][:] = np.arange(16)
    packet["robot_mode"][:] = RobotMode.kReflex
    packet["controller_mode"][:] = StateControllerMode.kExternalController
    packet["motion_generator_mode"][:] = StateMotionGeneratorMode.kNone
    packet["control_command_success_rate"][:] = 0.5
    theirs = FrankaRobotState(
        errors=tuple(errors),
        O_T_EE=tuple(np.arange(16.0)),
        robot_mode=RobotMode.kReflex,
        controller_mode=StateControllerMode.kExternalController,
        motion_generator_mode=StateMotionGeneratorMode.kNone,
        control_command_success_rate=0.5,
        **{name: tuple(value) for name, value in values.items()},
    )
    assert packet.pack() == theirs.pack_state()


def test_without_torque_the_arm_floats_and_a_push_accelerates_it() -> None:
    arm = Arm(FR3, RESET_POSE)
    for _ in range(200):
        arm.push(STILL)
    np.testing.assert_allclose(arm.q, RESET_POSE, atol=1e-6)
    for _ in range(50):
        arm.push(5.0 * FIRST)
    assert arm.dq[0] > 0.05
    for _ in range(500):
        arm.brake()
    np.testing.assert_array_equal(arm.dq, STILL)


def test_a_clock_that_falls_behind_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    now, slept = [10.0], []
    monkeypatch.setattr("vla_sae_ros.robot.strict_sim.clock.time.monotonic", lambda: now[0])

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        now[0] += seconds

    monkeypatch.setattr("vla_sae_ros.robot.strict_sim.clock.time.sleep", sleep)
    clock = StrictClock(1.0)
    assert clock.wait() and slept == [pytest.approx(0.001)]
    now[0] += 0.0015
    assert not clock.wait(), "half a millisecond late: caught up, and nobody is blamed"
    assert clock.wait() and clock.slipped == 0
    now[0] += 0.011
    assert not clock.wait()
    assert clock.slipped == pytest.approx(0.010)
    assert clock.wait() and clock.rate == pytest.approx(5 / (now[0] - 10.0))
