"""Box, table and tool step."""

from __future__ import annotations

from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from vla_sae_ros.robot.envelope.joint_guard import JointGuard, Motion
from vla_sae_ros.robot.envelope.place_guard import RETURN, SHARES, PlaceGuard
from vla_sae_ros.robot.reasons import Limit
from vla_sae_ros.robot.settings_file import load_robot
from vla_sae_ros.robot.workspace import Workspace

PANDA = load_robot("panda")
JOINTS = JointGuard(PANDA.limits, PANDA.margin, PANDA.period)


@hypothesis_settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**31))
def test_whatever_is_wanted_the_arm_can_always_stop_inside(seed: int) -> None:
    rng = np.random.default_rng(seed)
    guard = PlaceGuard(PANDA.place, JOINTS, PANDA.period)
    motion = Motion.resting(PANDA.reset_pose)
    for _ in range(6):
        target = motion.q + rng.uniform(-1.5, 1.5, 7)
        for _ in range(8):
            wanted, _ = JOINTS.next_velocity(motion, target)
            v, _ = guard.next_velocity(motion, wanted)
            assert v is not None
            step = np.abs(v - motion.v) / PANDA.period
            assert (step <= PANDA.limits.acceleration + 1e-6).all()
            before = PANDA.place.kinematics.tool(motion.q)
            motion = motion.after(v, PANDA.period)
            assert guard.outside(motion.q) <= 1e-5
            moved = np.linalg.norm(PANDA.place.kinematics.tool(motion.q) - before)
            assert moved <= PANDA.place.max_ee_step + 1e-5


def test_at_an_edge_the_nearest_mixture_that_violates_nothing_is_taken() -> None:
    guard, rng = PlaceGuard(PANDA.place, JOINTS, PANDA.period), np.random.default_rng(1)
    motion, mixed = Motion.resting(PANDA.reset_pose), 0
    for tick in range(160):
        if tick % 40 == 0:
            lead = rng.uniform(-0.2, 0.2, 7)
        wanted, _ = JOINTS.next_velocity(motion, motion.q + lead)
        v, limited = guard.next_velocity(motion, wanted)
        assert v is not None
        if limited:
            braking = JOINTS.braking(motion)
            shares = SHARES[1:-1, None] * np.ones(7)
            mixtures = np.array(list(product((0.0, 1.0), repeat=7)))
            far = (1 - mixtures) @ (wanted - braking) ** 2
            tried = braking + np.vstack([shares, mixtures[np.argsort(far)]]) * (wanted - braking)
            allowed = [not bad for bad in guard._problems(motion, tried)]
            best = tried[allowed.index(True)]
            np.testing.assert_allclose(v, best, atol=1e-12)
            mixed += allowed.index(True) >= len(shares)
        motion = motion.after(v, PANDA.period)
    assert mixed > 10


def test_braking_ends_at_rest_and_one_tick_follows_another() -> None:
    v = np.random.default_rng(0).uniform(-1, 1, (5, 7)) * PANDA.limits.velocity
    way = JOINTS.to_rest(v)
    np.testing.assert_array_equal(way[:, 0], v)
    assert not way[:, -1].any()
    for one in way:
        for now, then in pairwise(one):
            motion = Motion(PANDA.reset_pose, now, np.zeros(7))
            np.testing.assert_allclose(JOINTS.braking(motion), then, atol=1e-12)


def test_what_is_inside_passes_untouched() -> None:
    guard = PlaceGuard(PANDA.place, JOINTS, PANDA.period)
    wanted = np.full(7, 0.05)
    v, names = guard.next_velocity(Motion.resting(PANDA.reset_pose), wanted)
    np.testing.assert_array_equal(v, wanted)
    assert names == []


def test_the_table_is_named() -> None:
    guard = PlaceGuard(PANDA.place, JOINTS, PANDA.period)
    motion, names = Motion.resting(PANDA.reset_pose), set()
    for _ in range(60):
        wanted, _ = JOINTS.next_velocity(motion, motion.q + np.eye(7)[1])  # shoulder forwards
        v, found = guard.next_velocity(motion, wanted)
        names |= set(found)
        motion = motion.after(v, PANDA.period)
    assert Limit.WORKSPACE in names
    height = PANDA.place.kinematics.tool(motion.q)[2]
    assert PANDA.place.workspace.tool_clearance - 1e-5 <= height < 0.05


@pytest.mark.parametrize("seed", [68, 82])
def test_an_arm_that_was_driven_to_an_edge_comes_back_in(seed: int) -> None:
    guard = PlaceGuard(PANDA.place, JOINTS, PANDA.period)

    def follow(motion: Motion, target: np.ndarray, ticks: int) -> Motion:
        for _ in range(ticks):
            lead = target - motion.q
            lead *= min(1.0, PANDA.max_joint_step / max(np.abs(lead).max(), 1e-9))
            wanted, _ = JOINTS.next_velocity(motion, motion.q + lead)
            v, _ = guard.next_velocity(motion, wanted)
            assert v is not None
            motion = motion.after(v, PANDA.period)
            assert guard.outside(motion.q) <= 1e-5
        return motion

    away = PANDA.reset_pose + np.random.default_rng(seed).uniform(-2.5, 2.5, 7)
    edge = follow(Motion.resting(PANDA.reset_pose), away, 100)
    assert guard.outside(edge.q) > -2e-3
    inside = follow(Motion.resting(edge.q), PANDA.reset_pose, 60)
    assert guard.outside(inside.q) < -0.01, "it is stuck"


def outside_by(wanted: float) -> np.ndarray:
    """Return joints (7,) rad at which the tool is `wanted` m below its clearance."""
    q, low, high = PANDA.reset_pose.copy(), PANDA.reset_pose[1], 1.2
    guard = PlaceGuard(PANDA.place, JOINTS, PANDA.period)
    for _ in range(60):
        q[1] = (low + high) / 2
        low, high = (q[1], high) if guard.outside(q) < wanted else (low, q[1])
    return q


def test_an_arm_a_hair_outside_may_go_in_and_no_further_out() -> None:
    guard, q = PlaceGuard(PANDA.place, JOINTS, PANDA.period), outside_by(RETURN / 2)
    guard.start(q)
    for sign, goes in ((-1.0, True), (1.0, False)):
        wanted, _ = JOINTS.next_velocity(Motion.resting(q), q + sign * 0.1 * np.eye(7)[1])
        v, names = guard.next_velocity(Motion.resting(q), wanted)
        assert v is not None
        assert np.allclose(v, wanted if goes else 0.0)
        assert names == ([] if goes else [Limit.WORKSPACE])


def test_no_tolerance_for_an_arm_further_outside() -> None:
    guard, q = PlaceGuard(PANDA.place, JOINTS, PANDA.period), outside_by(2 * RETURN)
    guard.start(q)
    assert guard.next_velocity(Motion.resting(q), np.zeros(7))[0] is None


POINTS = np.array([[0.0, 0, 0.6], [0.4, 0, 0.6], [0.5, 0, 0.5], [0.5, 0, 0.3]])


@pytest.mark.parametrize(
    ("part", "where", "outside"),
    [
        (3, [0.5, 0.0, 0.3], -0.1),
        (3, [0.9, 0.0, 0.3], 0.1),
        (3, [0.5, -0.7, 0.3], 0.2),
        (3, [0.5, 0.0, 0.0], 0.02),
        (0, [0.0, 0.0, 0.05], 0.05),
        (2, [0.5, 0.0, 0.05], 0.05),
    ],
)
def test_how_far_outside(part: int, where: list[float], outside: float) -> None:
    box = Workspace(np.array([0.2, -0.5, -0.1]), np.array([0.8, 0.5, 0.9]), 0.0, 0.02, 0.1)
    points = POINTS.copy()
    points[part] = where
    if outside > 0:
        assert box.outside(points) == pytest.approx(outside)
    else:
        assert box.outside(points) <= 0
