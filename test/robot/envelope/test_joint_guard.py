"""Joint limits as properties, against targets that mean no good."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vla_sae_ros.robot.envelope.joint_guard import JointGuard, Motion
from vla_sae_ros.robot.limits import FR3, PANDA, RobotLimits
from vla_sae_ros.robot.reasons import Limit

PERIOD, MARGIN = 1 / 15, 0.1
OURS = {"panda": PANDA.scaled(0.5, 0.4, 0.02), "fr3": FR3.scaled(0.4, 0.2, 0.015)}
START = np.array([0.0, -0.63, 0.0, -2.5, 0.0, 1.9, 0.0])


def run(
    limits: RobotLimits, targets: np.ndarray, guard: JointGuard | None = None
) -> tuple[np.ndarray, np.ndarray, list[set[Limit]]]:
    """Return commanded positions (T + 1, 7), velocities (T, 7) and the limits of every tick."""
    guard = guard or JointGuard(limits, MARGIN, PERIOD)
    motion = Motion.resting(START)
    q, v, names = [motion.q], [], []
    for target in targets:
        velocity, found = guard.next_velocity(motion, target)
        motion = motion.after(velocity, PERIOD)
        q.append(motion.q)
        v.append(motion.v)
        names.append(set(found))
    return np.array(q), np.array(v), names


@pytest.mark.parametrize("robot", ["panda", "fr3"])
@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**31), stretch=st.floats(0.05, 6.0), hold=st.integers(1, 12))
def test_no_sequence_of_targets_breaks_a_limit(
    robot: str, seed: int, stretch: float, hold: int
) -> None:
    limits, maker = OURS[robot], {"panda": PANDA, "fr3": FR3}[robot]
    rng = np.random.default_rng(seed)
    targets = np.repeat(START + stretch * rng.uniform(-1, 1, (8, 7)), hold, axis=0)
    q, v, _ = run(limits, targets)
    a = np.diff(np.vstack([np.zeros(7), v]), axis=0) / PERIOD
    jerk = np.diff(np.vstack([np.zeros(7), a]), axis=0) / PERIOD
    assert (np.abs(v) <= limits.velocity + 1e-9).all()
    assert (np.abs(a) <= limits.acceleration + 1e-6).all()
    assert (q > limits.lower + MARGIN - 1e-9).all() and (q < limits.upper - MARGIN + 1e-9).all()
    assert (np.abs(jerk) <= maker.jerk).all(), "the maker's own holds even where ours yields"
    for position, velocity in zip(q[1:], v, strict=True):
        low, high = maker.velocity_range(position)
        assert (velocity <= high + 1e-9).all() and (velocity >= low - 1e-9).all()


def test_a_target_within_every_limit_is_reached_exactly_and_named_by_none() -> None:
    target = START + 0.002
    q, _, names = run(OURS["panda"], np.repeat(target[None], 3, axis=0))
    np.testing.assert_allclose(q[1], target)
    assert names == [set()] * 3


def test_a_far_target_is_reached_and_hardly_overshot_for_the_sake_of_jerk() -> None:
    target = START + 0.5 * np.array([1, 1, -1, 0.4, 1, -1, 1])
    q, v, _ = run(OURS["panda"], np.repeat(target[None], 60, axis=0))
    np.testing.assert_allclose(q[-1], target, atol=1e-6)
    assert (np.sign(target - START) * (q - target)).max() < 0.03
    np.testing.assert_allclose(v[-1], 0, atol=1e-6)


@pytest.mark.parametrize(
    ("target", "limit"),
    [
        (START + np.eye(7)[0] * 1.0, Limit.VELOCITY),
        (START + np.eye(7)[0] * 0.05, Limit.ACCELERATION),
        (START + np.eye(7)[3] * -0.6, Limit.JOINT_MARGIN),
    ],
)
def test_the_limit_that_bites_is_named(target: np.ndarray, limit: Limit) -> None:
    _, _, names = run(OURS["panda"], np.repeat(target[None], 12, axis=0))
    assert any(limit in found for found in names)


def test_jerk_is_limited_while_nothing_urgent_needs_more() -> None:
    limits = PANDA.scaled(0.5, 0.4, 0.002)
    _, v, names = run(limits, np.repeat((START + 0.3)[None], 3, axis=0))
    assert Limit.JERK in names[0]
    assert (np.abs(v[0]) <= limits.jerk * PERIOD**2 + 1e-12).all()
