"""Hand and objects moved in the mind; staging.py's test compares with physics."""

from __future__ import annotations

import numpy as np
import pytest

from vla_sae_ros.sim.environment import ObjectPose, Observation
from vla_sae_ros.sim.expert import DOWN, expert_action
from vla_sae_ros.sim.rehearsal import Grip, Rehearsal

UPRIGHT = np.array([0.0, 0.0, 0.0, 1.0])
POSES = {
    "basket_1": ObjectPose(np.array([0.0, 0.26, 0.0]), UPRIGHT),
    "butter_1": ObjectPose(np.array([-0.1, -0.1, 0.01]), UPRIGHT),
}
GRIP = Grip(0.04)


def start(position: tuple[float, float, float] = (-0.15, 0.0, 0.25)) -> Rehearsal:
    observation = Observation(
        np.full(7, np.nan), np.array(position), DOWN.as_quat(), np.array([0.039, -0.039])
    )
    return Rehearsal(observation, POSES, "butter_1", GRIP)


def test_the_expert_brings_the_object_to_the_basket_in_the_mind_too() -> None:
    hand, held = start(), 0
    for _ in range(110):
        hand.step(expert_action(hand.state, "butter_1"))
        held += hand.held == "butter_1"
    assert hand.dropped and held > 20
    place = hand.state.poses["butter_1"].position
    assert np.abs(place[:2] - POSES["basket_1"].position[:2]).max() < 0.07
    assert place[2] == pytest.approx(0.01)


def test_fingers_close_on_nothing_away_from_the_object() -> None:
    hand = start()
    for _ in range(25):
        hand.step(np.array([0.0, 0, 0, 0, 0, 0, 1.0]))
    assert hand.held is None and np.ptp(hand.state.observation.gripper_qpos) < 0.01


def test_fingers_stop_at_what_is_between_them() -> None:
    hand = start((-0.1, -0.1, 0.01))
    for _ in range(25):
        hand.step(np.array([0.0, 0, 0, 0, 0, 0, 1.0]))
    assert hand.held == "butter_1" and hand.state.grasped == {"butter_1"}
    assert np.ptp(hand.state.observation.gripper_qpos) == pytest.approx(GRIP.width_m, abs=1e-3)


def test_a_copy_goes_its_own_way() -> None:
    hand = start()
    other = hand.copy()
    other.step(np.array([1.0, 0, 0, 0, 0, 0, -1.0]))
    assert not np.array_equal(
        hand.state.observation.ee_position, other.state.observation.ee_position
    )
    np.testing.assert_array_equal(hand.state.observation.ee_position, [-0.15, 0.0, 0.25])
