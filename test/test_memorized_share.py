"""Does the share of memorized activation tell failing episodes? On planted episodes."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest
from tool_module import tool_module

MEMORIZED = np.array([0, 1])


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    return tool_module("memorized_share")


def episodes(tool: ModuleType, tells: float) -> Any:
    """Return 40 episodes of two instructions; failing ones have `tells` more in feature 0."""
    draw = np.random.default_rng(0)
    failed = np.arange(40) % 4 == 0
    activation = draw.uniform(0.5, 1.0, (40, 6))
    activation[:, 0] += tells * failed
    return tool.Beginnings(activation, draw.uniform(size=40), failed, np.arange(40) // 20)


@pytest.mark.parametrize("within", [False, True])
def test_a_share_that_tells_is_found_and_one_that_does_not_is_not(
    tool: ModuleType, within: bool
) -> None:
    telling, silent = episodes(tool, 5.0), episodes(tool, 0.0)
    assert tool.auroc(telling, tool.share(telling, MEMORIZED), within) == 1.0
    assert 0.3 < tool.auroc(silent, tool.share(silent, MEMORIZED), within) < 0.7
    low, high = map(float, tool.random_range(silent, list(range(6)), 2, within).split(" to "))
    assert low < 0.5 < high


def test_the_share_is_of_all_activation_and_none_where_nothing_fires(tool: ModuleType) -> None:
    some = tool.Beginnings(
        np.array([[1.0, 1.0, 2.0], [0.0, 0.0, 0.0]]),
        np.zeros(2),
        np.array([True, False]),
        np.zeros(2, np.int64),
    )
    assert tool.share(some, MEMORIZED).tolist() == [0.5, 0.0]


def test_the_interval_covers_the_value(tool: ModuleType) -> None:
    telling = episodes(tool, 0.3)
    said = tool.said(telling, lambda some: tool.share(some, MEMORIZED), False)
    value, low, high = (
        float(one) for one in said.replace("(", "").replace(")", "").split() if one != "to"
    )
    assert low < value < high
