"""Feature statistics and evidence labels against plain numpy and planted cases."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from vla_sae_ros.activations.dataset import SiteActivations
from vla_sae_ros.activations.format import StepRecord
from vla_sae_ros.sae import TopKSAE
from vla_sae_ros.study.features.feature_statistics import FeatureStatistics, feature_statistics
from vla_sae_ros.study.features.labels.evidence_labels import EvidenceBar, evidence_labels
from vla_sae_ros.study.features.state_variable import StateVariable

D, F = 6, 15


def make_case(rows_per_step: int) -> tuple[TopKSAE, SiteActivations, np.ndarray]:
    torch.manual_seed(0)
    sae = TopKSAE(torch.randn(D, F), torch.randn(F), torch.randn(F, D), torch.randn(D), 3)
    random = np.random.default_rng(1)
    steps = tuple(StepRecord(f"e{n // 10}", n % 10, rows_per_step) for n in range(40))
    rows = random.standard_normal((40 * rows_per_step, D)).astype(np.float32)
    data = SiteActivations("expert.0", rows, steps, np.arange(40) // 10)
    code = sae.encode(torch.from_numpy(rows)).numpy().reshape(40, rows_per_step, F).max(axis=1)
    return sae, data, code


def variable(values: np.ndarray) -> StateVariable:
    return StateVariable("gripper opening", "m", values, "gripper open", "gripper closed")


@pytest.mark.parametrize("rows_per_step", [1, 4])
@pytest.mark.parametrize("chunk", [7, 1000])
def test_statistics_are_those_of_the_dense_codes(rows_per_step: int, chunk: int) -> None:
    sae, data, code = make_case(rows_per_step)
    values = np.random.default_rng(2).standard_normal(40) + 1e3
    values[::7] = np.nan
    known = np.isfinite(values)
    constant = variable(np.ones(40))
    statistics = feature_statistics(sae, data, [variable(values), constant], chunk)
    np.testing.assert_allclose(statistics.observed_max, code.max(axis=0), rtol=1e-5)
    np.testing.assert_allclose(statistics.density, (code > 0).mean(axis=0))
    by_episode = (code > 0).reshape(4, 10, F).any(axis=1)
    np.testing.assert_allclose(statistics.coverage, by_episode.mean(axis=0))
    np.testing.assert_array_equal(statistics.episodes, by_episode.sum(axis=0))
    for feature in range(F):
        codes = code[known, feature].astype(float)
        r = np.corrcoef(codes, values[known])[0, 1] if codes.std() else np.nan
        assert statistics.correlation[0, feature] == pytest.approx(r, abs=1e-6, nan_ok=True)
    assert np.isnan(statistics.correlation[1]).all()


def made(
    correlation: list[list[float]], inferences: int = 50, episodes: int = 5
) -> FeatureStatistics:
    r = np.array(correlation)
    features = r.shape[1]
    zero = np.zeros(features)
    return FeatureStatistics(
        observed_max=zero,
        density=zero,
        coverage=zero,
        inferences=np.full(features, inferences),
        episodes=np.full(features, episodes),
        variables=("gripper opening", "height"),
        correlation=r,
    )


VARIABLES = [
    variable(np.zeros(1)),
    StateVariable("height", "m", np.zeros(1), "end effector high", ""),
]


def test_a_label_is_chosen_on_training_episodes_and_checked_on_held_out_ones() -> None:
    #          closed  flipped  below  other variable  nameless  unknown
    training = made([[-0.9, 0.9, 0.9, 0.7, 0.1, np.nan], [0.2, 0.1, 0.1, 0.8, -0.9, np.nan]])
    held_out = made([[-0.8, -0.9, 0.5, 0.9, 0.1, np.nan], [0.9, 0.1, 0.9, 0.7, -0.9, np.nan]])
    labels = evidence_labels(training, held_out, VARIABLES)
    assert {feature: one.label for feature, one in labels.items()} == {
        0: "gripper closed",
        3: "end effector high",
    }
    assert "r = -0.80 with gripper opening" in labels[0].description
    assert "-0.90 on training" in labels[0].description


@pytest.mark.parametrize("few", [{"inferences": 19}, {"episodes": 2}])
def test_a_feature_that_fires_too_seldom_stays_unlabelled(few: dict[str, int]) -> None:
    training = made([[0.9], [0.0]])
    assert evidence_labels(training, made([[0.9], [0.0]], **few), VARIABLES) == {}
    bar = dataclasses.replace(EvidenceBar(), **few)
    assert len(evidence_labels(training, made([[0.9], [0.0]], **few), VARIABLES, bar)) == 1


def test_without_variables_nothing_is_labelled() -> None:
    empty = made([[0.9]])
    assert evidence_labels(empty, empty, []) == {}
