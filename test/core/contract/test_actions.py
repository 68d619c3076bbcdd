from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from vla_sae_ros.core.contract import bounded_action, load_contract, parse_contract, safe_action
from vla_sae_ros.core.contract.schema import Entry
from vla_sae_ros.core.errors import ContractError

LIBERO = load_contract(Path(__file__).parents[3] / "config" / "contracts" / "libero.yaml").action


def entry(apply: list[object], safety: str = "none") -> Entry:
    channel = {"topic": "/c", "type": "sensor_msgs/msg/JointState", "safety": safety}
    align = {"strategy": "hold", "timeline": "header"}
    source = {"channel": channel, "align": align, "select": ["a", "b"], "apply": apply}
    observation = {
        "channel": {"topic": "/o", "type": "std_msgs/msg/Float32"},
        "align": {"strategy": "hold", "timeline": "receive"},
    }
    return parse_contract(
        {
            "robot_type": "r",
            "fps": 20,
            "observations": {"o": observation},
            "actions": {"action": source},
        }
    ).action


def test_an_action_goes_through_the_operators_backwards():
    # The policy speaks degrees; the clamp bounds what it says, before the way back to radians.
    degrees = entry(["rad2deg", {"clamp": {"min": -90, "max": 90}}])
    sent = bounded_action(degrees, np.array([180.0, 45.0]))
    assert sent.values == pytest.approx([np.pi / 2, np.pi / 4])
    assert sent.values.dtype == np.float32
    assert sent.clipped


@given(arrays(np.float32, 7, elements=st.floats(-3, 3, width=32)))
def test_a_libero_action_is_clamped_and_says_so(action):
    sent = bounded_action(LIBERO, action)
    assert np.abs(sent.values).max() <= 1.0
    inside = np.abs(action) <= 1.0
    assert np.array_equal(sent.values[inside], action[inside])
    assert sent.clipped == (not inside.all())


@pytest.mark.parametrize("action", [np.zeros(6), np.full(7, np.nan), np.zeros((1, 7))])
def test_an_action_that_does_not_fit_is_refused(action):
    with pytest.raises(ContractError, match="7 finite numbers"):
        bounded_action(LIBERO, action)


def test_without_an_action_the_libero_hand_stays_and_the_gripper_keeps_its_command():
    last = np.array([0.5] * 6 + [1.0], np.float32)
    assert safe_action(LIBERO, last).tolist() == [0.0] * 6 + [1.0]
    assert safe_action(LIBERO, None).tolist() == [0.0] * 7


def test_zeros_are_the_policys_zeros_and_hold_repeats_the_last_command():
    low = [{"clamp": {"min": 0.25, "max": 1}}]
    assert safe_action(entry(low, "zeros"), np.ones(2)).tolist() == [0.25, 0.25]
    assert safe_action(entry(low, "hold"), np.ones(2)).tolist() == [1.0, 1.0]
    assert safe_action(entry(low, "hold"), None).tolist() == [0.25, 0.25]
