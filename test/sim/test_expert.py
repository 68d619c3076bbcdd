"""The scripted expert, without a simulator."""

from __future__ import annotations

import numpy as np
import pytest

from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.sim.conventions import axis_angle
from vla_sae_ros.sim.environment import ObjectPose, Observation
from vla_sae_ros.sim.expert import PrivilegedState, expert_action

DOWN = np.array([1.0, 0.0, 0.0, 0.0])
UPRIGHT = np.array([0.0, 0.0, 0.0, 1.0])


def state(hand, butter=(0.0, 0.0, 0.01), grasped=(), fingers=0.04, quaternion=DOWN):
    observation = Observation(
        np.zeros(7), np.asarray(hand, float), quaternion, np.array([fingers, -fingers])
    )
    poses = {
        "butter_1": ObjectPose(np.asarray(butter, float), UPRIGHT),
        "basket_1": ObjectPose(np.array([0.0, 0.26, 0.0]), UPRIGHT),
    }
    return PrivilegedState(observation, poses, frozenset(grasped))


def test_it_goes_towards_the_object_with_an_open_gripper() -> None:
    action = expert_action(state([-0.1, 0.2, 0.25]), "butter_1")
    assert action[0] > 0 and action[1] < 0 and action[2] < 0 and action[6] == -1


def test_it_closes_when_the_object_is_between_the_fingers() -> None:
    action = expert_action(state([0.002, 0.0, 0.012]), "butter_1")
    assert action[6] == 1 and np.abs(action[:3]).max() < 0.1


def test_it_lifts_what_it_holds_before_carrying_it_sideways() -> None:
    action = expert_action(state([0, 0, 0.02], grasped=["butter_1"], fingers=0.01), "butter_1")
    assert action[2] == 1 and abs(action[1]) < 0.05 and action[6] == 1


def test_it_lets_go_over_the_basket() -> None:
    hand = [0.0, 0.26, 0.2]
    action = expert_action(state(hand, butter=hand, grasped=["butter_1"]), "butter_1")
    assert action[6] == -1


def test_a_gripper_closed_on_nothing_is_opened_again() -> None:
    action = expert_action(state([0.0, 0.0, 0.06], fingers=0.0), "butter_1")
    assert action[6] == -1 and action[2] > 0


def test_a_tilted_hand_is_turned_back_down() -> None:
    angle = 0.2
    # A turn by +angle about the world's z axis, after pointing down.
    turned = np.array([np.cos(angle / 2), np.sin(angle / 2), 0.0, 0.0])
    action = expert_action(state([0.1, 0.1, 0.2], quaternion=turned), "butter_1")
    assert action[5] < -0.1 and np.abs(action[3:5]).max() < 1e-9


def test_it_stays_above_an_object_until_the_hand_is_turned() -> None:
    turned = np.array([np.cos(0.4), np.sin(0.4), 0.0, 0.0])
    above = expert_action(state([0.0, 0.0, 0.06]), "butter_1")
    askew = expert_action(state([0.0, 0.0, 0.06], quaternion=turned), "butter_1")
    assert above[2] < 0 < askew[2] and askew[5] < 0


def test_fingers_that_closed_on_nothing_around_the_object_are_opened_again() -> None:
    action = expert_action(state([0.0, 0.0, 0.01], fingers=0.003), "butter_1")
    assert action[6] == -1 and action[2] > 0


def test_a_tall_object_is_carried_higher_than_a_flat_one() -> None:
    def lift(height: float) -> float:
        held = state([0.0, 0.1, 0.2], butter=[0.0, 0.1, height], grasped=["butter_1"])
        return float(expert_action(held, "butter_1")[2])

    # The same hand, the object hanging lower: below the rim it goes up, well above it does not.
    assert lift(0.15) > 0 > lift(0.199)


def test_an_object_without_a_known_grasp_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="butter, chocolate_pudding"):
        expert_action(state([0, 0, 0.2]), "wine_1")


def test_the_rotation_vector_does_not_jump_at_half_a_turn() -> None:
    before = axis_angle(np.array([np.sqrt(1 - 1e-6), 0, 0, 1e-3]))
    after = axis_angle(np.array([np.sqrt(1 - 1e-6), 0, 0, -1e-3]))
    assert np.abs(before - after).max() < 0.01 and before[0] == pytest.approx(np.pi, abs=0.01)
    assert np.array_equal(axis_angle(np.array([0.0, 0.0, 0.0, 1.0])), np.zeros(3))
