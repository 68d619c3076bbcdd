"""State variables against hand-computed values."""

from __future__ import annotations

import numpy as np
import pytest

from vla_sae_ros.activations.format import StepRecord
from vla_sae_ros.study.features.state_variables import state_variables


def record(episode: str, step: int, x: float, opening: float, instruction: str = "") -> StepRecord:
    state = (x, 0.0, 1.0 + x, 0.0, 0.0, 0.0, opening / 2, -opening / 2)
    return StepRecord(episode, step, task="libero_object 0", instruction=instruction, state=state)


def test_variables_are_those_of_the_states() -> None:
    steps = [record("a", 0, 0.0, 0.08), record("a", 5, 0.3, 0.0), record("b", 0, 0.5, 0.04)]
    found = {one.name: one for one in state_variables(steps, np.array([0, 0, 1]), 20.0)}
    np.testing.assert_allclose(found["gripper opening"].values, [0.08, 0.0, 0.04])
    np.testing.assert_allclose(found["end-effector height"].values, [1.0, 1.3, 1.5])
    speed = found["end-effector speed"].values
    assert np.isnan(speed[[0, 2]]).all(), "nothing before an episode's first inference"
    assert speed[1] == pytest.approx(np.hypot(0.3, 0.3) / (5 / 20.0))
    np.testing.assert_allclose(found["episode progress"].values, [0.0, 1.0, 0.0])
    assert not [name for name in found if name.startswith(("instruction", "distance"))]


def test_objects_and_instructions_are_variables_where_there_are_some() -> None:
    steps = [
        StepRecord(
            "a", 0, instruction="soup", state=(0.0,) * 8, object_positions={"can": (3, 4, 0)}
        ),
        StepRecord("b", 0, instruction="milk", state=(0.0,) * 8),
    ]
    found = {one.name: one for one in state_variables(steps, np.array([0, 1]), 20.0)}
    np.testing.assert_array_equal(found["distance to can"].values, [5.0, np.nan])
    np.testing.assert_array_equal(found['instruction "soup"'].values, [1.0, 0.0])


def test_a_state_of_another_layout_gives_no_variables_of_it() -> None:
    steps = [StepRecord("a", 0, state=(0.0,) * 7), StepRecord("a", 5)]
    assert [one.name for one in state_variables(steps, np.zeros(2, int), 15.0)] == [
        "episode progress"
    ]


def test_eight_numbers_of_another_robot_are_no_hand_and_fingers() -> None:
    """DROID's state has eight numbers, too: seven joints [rad] and the gripper."""
    steps = [StepRecord("a", n, state=(0.1 * n,) * 8) for n in range(3)]
    assert [one.name for one in state_variables(steps, np.zeros(3, int), 15.0)] == [
        "episode progress"
    ]
