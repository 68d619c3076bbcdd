"""Which grasp from above is chosen, for the faces of the object and for its neighbours."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from vla_sae_ros.sim.boxes import BOXES, placed, placed_object
from vla_sae_ros.sim.clearance import overlap
from vla_sae_ros.sim.environment import ObjectPose
from vla_sae_ros.sim.grasps import FINGER_DEPTH_M, grasp_of


def at(x: float, y: float, z: float, *turns: tuple[str, float]) -> ObjectPose:
    rotation = Rotation.identity()
    for axis, degrees in turns:
        rotation = Rotation.from_euler(axis, degrees, degrees=True) * rotation
    return ObjectPose(np.array([x, y, z]), rotation.as_quat())


@pytest.mark.parametrize("degrees", [-80, -30, 0, 20, 70])
def test_the_hand_closes_on_the_narrow_sides_of_a_turned_object(degrees: float) -> None:
    grasp = grasp_of(BOXES["butter"], at(0, 0, 0.01, ("z", degrees)), 0.0)
    assert np.rad2deg(grasp.yaw) == pytest.approx(degrees)


def test_of_two_turns_the_shorter_from_the_hand_is_taken() -> None:
    pose = at(0, 0, 0.01, ("z", 85.0))
    assert np.rad2deg(grasp_of(BOXES["butter"], pose, 0.3).yaw) == pytest.approx(85)
    assert np.rad2deg(grasp_of(BOXES["butter"], pose, -1.2).yaw) == pytest.approx(-95)


def test_a_can_needs_no_turn() -> None:
    standing = at(0, 0, 0.04, ("x", 90.0), ("z", 37.0))
    assert abs(grasp_of(BOXES["tomato_sauce"], standing, 0.0).yaw) < np.deg2rad(15)


def test_a_bottle_is_held_below_its_top_and_its_middle_when_it_lies() -> None:
    standing = grasp_of(BOXES["ketchup"], at(0.1, 0, 0.07, ("x", 90.0)), 0.0)
    assert standing.point[2] == pytest.approx(0.143 - FINGER_DEPTH_M, abs=2e-3)
    lying = grasp_of(BOXES["ketchup"], at(0.1, 0, 0.02), 0.0)
    assert lying.point[2] == pytest.approx(0.02, abs=2e-3)
    # It lies along y, so the hand has to close along x.
    assert abs(np.rad2deg(lying.yaw)) == pytest.approx(90)


def test_a_taller_neighbour_moves_the_grasp_off_the_middle() -> None:
    # As in libero_object task 1: the palm would come down on the can.
    cheese = at(0.05, -0.1, 0.009)
    can = placed_object("tomato_sauce_1", at(0.102, -0.199, 0.038, ("x", 90.0)))
    plain, careful = (grasp_of(BOXES["cream_cheese"], cheese, 0.0, near) for near in ((), (can,)))
    assert overlap(plain.point, plain.yaw, [can]) > 0.01
    assert overlap(careful.point, careful.yaw, [can]) == 0.0
    assert careful.point[0] < plain.point[0] and careful.yaw == plain.yaw


def test_a_lower_neighbour_is_in_nobodys_way() -> None:
    butter = placed(BOXES["butter"], at(0.0, 0.09, 0.009))
    grasp = np.array([0.0, 0.0, 0.1])
    assert overlap(grasp, 0.0, [butter]) == 0.0
    assert overlap(grasp - [0, 0, 0.095], 0.0, [butter]) > 0.0


def test_a_bowl_is_held_across_its_rim_away_from_a_neighbour() -> None:
    bowl = at(0.0, 0.2, 0.9)
    beside = placed_object("glazed_rim_porcelain_ramekin_1", at(0.0, 0.1, 0.9))
    grasp = grasp_of(BOXES["akita_black_bowl"], bowl, 0.0, (beside,))
    out = grasp.point[:2] - bowl.position[:2]
    assert np.linalg.norm(out) == pytest.approx(0.047, abs=2e-3)
    assert overlap(grasp.point, grasp.yaw, [beside]) == 0.0
    # The closing axis points out of the bowl.
    closing = np.array([np.sin(grasp.yaw), -np.cos(grasp.yaw)])
    assert abs(closing @ out) == pytest.approx(np.linalg.norm(out), abs=1e-4)
