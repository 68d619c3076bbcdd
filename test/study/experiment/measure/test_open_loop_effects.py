"""What an edit does to answers: in LIBERO by the meaning of its numbers, elsewhere by number."""

from __future__ import annotations

import numpy as np
import pytest

from vla_sae_ros.study.experiment.measure.open_loop_effects import (
    OPEN_LOOP_EFFECTS,
    open_loop_effects,
)
from vla_sae_ros.study.experiment.records.files import Responses


def answers(actions: np.ndarray) -> Responses:
    count = len(actions)
    return Responses(
        edit_ratio=np.zeros(count, np.float32),
        capped=np.zeros(count, bool),
        feature_sites=np.array([], str),
        feature_ids=np.array([], np.int64),
        natural=np.zeros((count, 0), np.float32),
        applied=np.zeros((count, 0), np.float32),
        observation=np.array([f"{number}@0" for number in range(count)]),
        episode=np.array([0, 0, 1]),
        noise_seed=np.zeros(count, np.int64),
        actions=actions.astype(np.float32),
    )


@pytest.mark.parametrize("width", [4, 7, 12])
def test_elsewhere_than_in_libero_every_number_of_an_action_is_an_effect(width: int) -> None:
    plain = np.zeros((3, 2, width))
    edited = plain + np.arange(width) * np.array([1.0, 3.0, 5.0])[:, None, None]
    found = open_loop_effects(answers(plain), answers(edited), "so101:image_obs=true")
    told = {effect.name: values for effect, values in found.items()}
    assert list(told) == ["action change", *(f"action {number}" for number in range(width))]
    for number in range(width):
        np.testing.assert_allclose(told[f"action {number}"], [2.0 * number, 5.0 * number])


def test_in_libero_the_numbers_have_a_meaning() -> None:
    plain, edited = np.zeros((3, 2, 7)), np.zeros((3, 2, 7))
    edited[..., 2], edited[..., 6] = 0.5, -1.0
    found = open_loop_effects(answers(plain), answers(edited), "libero")
    assert tuple(found) == OPEN_LOOP_EFFECTS
    told = {effect.name: values.tolist() for effect, values in found.items()}
    assert told["upward command"] == told["commanded speed"] == [0.5, 0.5]
    assert told["gripper command"] == [-1.0, -1.0]
