"""Does the share of memorized activation tell failing episodes? On planted episodes."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from tool_module import tool_module

from vla_sae_ros.activations.codes import coded_episodes
from vla_sae_ros.activations.dataset import ActivationDataset
from vla_sae_ros.activations.format import CollectedSite, Collection
from vla_sae_ros.activations.writer import ActivationWriter
from vla_sae_ros.policy.checkpoints.loaded import LoadedPolicy
from vla_sae_ros.sae import SaeBundle
from vla_sae_ros.study.monitoring.episodes import monitored_episodes

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


def numbers(said: str) -> list[float]:
    return [float(one) for one in re.findall(r"\d\.\d+", said)]


def test_the_interval_covers_the_value(tool: ModuleType) -> None:
    telling = episodes(tool, 0.3)
    value, low, high = numbers(tool.said(telling, lambda some: tool.share(some, MEMORIZED), True))
    assert low < value < high


def test_where_an_instructions_episodes_share_a_fate_drawing_instructions_widens_the_interval(
    tool: ModuleType,
) -> None:
    draw = np.random.default_rng(0)
    instruction = np.arange(60) // 10
    failed = instruction % 2 == 0
    fvu = (failed + 1.5 * draw.standard_normal(6)[instruction]) + 0.1 * draw.uniform(size=60)
    some = tool.Beginnings(np.ones((60, 2)), fvu, failed, instruction)
    _, low, high, widest_low, widest_high = numbers(tool.said(some, lambda one: one.fvu, False))
    assert widest_high - widest_low > 1.5 * (high - low)


def test_an_episodes_beginning_has_the_codes_and_the_fvu_of_its_first_inferences(
    tool: ModuleType,
    loaded: LoadedPolicy,
    make_bundle: Callable[..., SaeBundle],
    tmp_path: Path,
) -> None:
    bundle = make_bundle(loaded, "expert.0", "token")
    width, groups = bundle.card.d_in, bundle.card.token_groups
    site = {"expert.0": CollectedSite(width, "token", groups)}
    collection = Collection(loaded.policy_id, loaded.name, site, 20.0)
    draw = np.random.default_rng(0)
    with ActivationWriter(tmp_path / "act", collection) as writer:
        for number, success in enumerate([True, False, None]):
            for step in range(4):
                context = {"episode_id": f"e{number}", "step": step, "instruction": "go"}
                writer("expert.0", draw.standard_normal((3, width)), context)
            writer.end_episode(success)
    (found,) = tool.beginnings(bundle, [tmp_path / "act"], 2)
    assert found.failed.tolist() == [False, True], "an unknown outcome tells nothing"
    dataset = ActivationDataset.open(tmp_path / "act")
    codes = [one.codes[:2].sum(axis=0) for one in coded_episodes(bundle, dataset)][:2]
    np.testing.assert_allclose(found.activation, codes, rtol=1e-5, atol=1e-6)
    watched = monitored_episodes(dataset, bundle)[:2]
    fvu = [np.mean([one.fvu for one in each.samples[:2]]) for each in watched]
    np.testing.assert_allclose(found.fvu, fvu)
