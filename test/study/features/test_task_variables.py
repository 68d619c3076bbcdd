"""The instruction's objects, and phases of one hand-made pick-and-place."""

from __future__ import annotations

import numpy as np
import pytest

from vla_sae_ros.activations.format import StepRecord
from vla_sae_ros.study.features.state_variables import state_variables
from vla_sae_ros.study.features.task_objects import TaskObjects, task_objects

SCENE = ("alphabet_soup_1", "cream_cheese_1", "tomato_sauce_1", "bbq_sauce_1", "basket_1")


@pytest.mark.parametrize(
    ("instruction", "objects", "found"),
    [
        (
            "Pick up the cream cheese and place it in the basket",
            SCENE,
            TaskObjects("cream_cheese_1", "basket_1"),
        ),
        (
            "pick up the bbq sauce and place it in the basket",
            SCENE,
            TaskObjects("bbq_sauce_1", "basket_1"),
        ),
        ("push the plate to the front of the stove", ("plate_1", "bowl_1"), TaskObjects("plate_1")),
        ("put the bowl on the plate", ("bowl_1", "bowl_2", "plate_1"), TaskObjects("plate_1")),
        ("open the drawer", ("bowl_1",), TaskObjects()),
        ("", SCENE, TaskObjects()),
    ],
)
def test_objects_are_matched_with_the_words_of_the_instruction(
    instruction: str, objects: tuple[str, ...], found: TaskObjects
) -> None:
    assert task_objects(instruction, objects) == found


def moment(step: int, hand: tuple, opening: float, butter: tuple) -> StepRecord:
    state = (*hand, 0.0, 0.0, 0.0, opening / 2, -opening / 2)
    return StepRecord(
        "a",
        step,
        instruction="put the butter in the basket",
        state=state,
        object_positions={"butter_1": butter, "basket_1": (0.0, 0.5, 0.0)},
    )


def test_phases_contacts_and_gripper_events_are_those_of_a_hand_made_episode() -> None:
    steps = [
        moment(0, (0, 0, 0.4), 0.08, (0, 0, 0.1)),  # above
        moment(5, (0, 0, 0.1), 0.08, (0, 0, 0.1)),  # at it, open
        moment(10, (0, 0, 0.1), 0.04, (0, 0, 0.1)),  # closed on it
        moment(15, (0, 0, 0.3), 0.04, (0, 0, 0.3)),  # up
        moment(20, (0, 0.45, 0.3), 0.04, (0, 0.45, 0.3)),  # over the basket
        moment(25, (0, 0.45, 0.3), 0.08, (0, 0.45, 0.05)),  # let go
    ]
    found = {one.name: one.values for one in state_variables(steps, np.zeros(6, int), 20.0)}
    phases = np.array([found[f"phase {one}"] for one in ("reach", "grasp", "carry", "place")])
    np.testing.assert_array_equal(phases.argmax(axis=0), [0, 0, 1, 2, 3, 3])
    np.testing.assert_array_equal(phases.sum(axis=0), 1)
    np.testing.assert_array_equal(found["near contact"], [0, 0, 1, 1, 1, 0])
    np.testing.assert_array_equal(found["gripper closing"], [np.nan, 0, 1, 0, 0, 0])
    np.testing.assert_array_equal(found["gripper reopening"], [np.nan, 0, 0, 0, 0, 1])
    np.testing.assert_allclose(found["vertical speed"], [np.nan, -1.2, 0, 0.8, 0, 0], atol=1e-9)
    np.testing.assert_allclose(found["leftward speed"], [np.nan, 0, 0, 0, 1.8, 0], atol=1e-9)
    np.testing.assert_allclose(found["forward speed"], [np.nan, 0, 0, 0, 0, 0], atol=1e-9)
    np.testing.assert_allclose(found["target height"], [0, 0, 0, 0.2, 0.2, -0.05], atol=1e-9)
    np.testing.assert_allclose(found["distance to the target"][:2], [0.3, 0.0], atol=1e-9)
    assert found["distance to the goal"][5] == pytest.approx(np.hypot(0.05, 0.3))


def test_a_target_is_compared_with_its_own_episodes_first_height() -> None:
    steps = [
        moment(0, (0, 0, 1), 0.08, (0, 0, 0.1)),
        moment(0, (0, 0, 1), 0.08, (0, 0, 0.7)),
        moment(5, (0, 0, 1), 0.08, (0, 0, 0.8)),
    ]
    found = {one.name: one.values for one in state_variables(steps, np.array([0, 1, 1]), 20.0)}
    np.testing.assert_allclose(found["target height"], [0, 0, 0.1], atol=1e-9)


def test_the_object_is_a_variable_where_episodes_have_different_ones() -> None:
    objects = {"butter_1": (0, 0, 0), "milk_1": (1, 0, 0)}
    steps = [
        StepRecord(name, 0, instruction=f"take the {name}", object_positions=objects)
        for name in ("butter", "milk")
    ]
    found = {one.name: one for one in state_variables(steps, np.array([0, 1]), 20.0)}
    assert found["object milk_1"].values.tolist() == [0.0, 1.0]
    assert found["object milk_1"].high == "object: milk_1"
