"""Rearranging a scene."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vla_sae_ros.core.errors import ConfigurationError, SimulationError
from vla_sae_ros.sim.environment import Layout
from vla_sae_ros.sim.layout import BASKET_GAP_M, MIN_GAP_M, rearranged

SCENE = {
    "basket_1": np.array([0.0, 0.26, 0.0]),
    "butter_1": np.array([-0.2, -0.08, 0.01]),
    "milk_1": np.array([0.1, -0.2, 0.07]),
    "soup_1": np.array([-0.12, -0.24, 0.04]),
}


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**31), distance=st.floats(0.001, 0.05))
def test_objects_stay_near_their_places_and_apart(seed: int, distance: float) -> None:
    moved = rearranged(SCENE, Layout(move_objects_m=distance), seed)
    for name, place in moved.items():
        assert np.abs(place - SCENE[name][:2]).max() <= distance
    for first in moved:
        for second in moved:
            if first < second:
                gap = BASKET_GAP_M if first == "basket_1" else MIN_GAP_M
                assert np.linalg.norm(moved[first] - moved[second]) >= gap


def test_the_default_layout_moves_nothing() -> None:
    places = rearranged(SCENE, Layout(), 0)
    assert all(np.array_equal(places[name], SCENE[name][:2]) for name in SCENE)


def test_a_bowl_is_moved_with_what_it_stands_on() -> None:
    scene = SCENE | {"bowl_1": SCENE["milk_1"] + [0.01, 0.0, 0.05]}
    moved = rearranged(scene, Layout(move_objects_m=0.04), 3)
    shifts = {name: moved[name] - scene[name][:2] for name in scene}
    np.testing.assert_allclose(shifts["bowl_1"], shifts["milk_1"])
    assert np.linalg.norm(shifts["bowl_1"] - shifts["butter_1"]) > 1e-3


@pytest.mark.parametrize("distance", [-0.01, float("nan"), float("inf")])
def test_an_impossible_distance_is_refused(distance: float) -> None:
    with pytest.raises(ConfigurationError, match="0 or more"):
        rearranged(SCENE, Layout(move_objects_m=distance), 0)


def test_a_scene_without_room_is_an_error_and_not_a_loop() -> None:
    crowd = {f"can_{number}": np.array([0.045 * number, 0.0, 0.0]) for number in range(6)}
    with pytest.raises(SimulationError, match="No free layout"):
        rearranged(crowd, Layout(move_objects_m=0.01), 0)


def test_shuffling_permutes_the_places_of_all_but_the_basket() -> None:
    seen = set()
    for seed in range(40):
        places = rearranged(SCENE, Layout(shuffle=True), seed)
        assert np.array_equal(places["basket_1"], SCENE["basket_1"][:2])
        before = sorted(tuple(place[:2]) for place in SCENE.values())
        assert sorted(tuple(place) for place in places.values()) == before
        seen.add(tuple(places["butter_1"]))
    assert len(seen) == 3
