"""Scores agree with other implementations."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.spatial.distance import mahalanobis

from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.monitors.sample import Sample
from vla_sae_ros.monitors.scores import (
    FvuScore,
    MahalanobisScore,
    ProbeScore,
    StillnessScore,
    TimeScore,
    read_score,
)


def test_the_distance_is_scipys() -> None:
    draw = np.random.default_rng(0)
    mean, mixing, x = draw.normal(size=4), draw.normal(size=(4, 4)), draw.normal(size=4)
    precision = mixing.T @ mixing
    score = MahalanobisScore(mean, mixing)
    assert score(Sample(0, pooled=x)) == pytest.approx(mahalanobis(x, mean, precision))


def test_a_probes_weights_change_between_its_knots_and_stay_outside() -> None:
    score = ProbeScore(np.array([0.0, 10.0]), np.array([[1.0], [3.0]]), np.array([0.0, 1.0]))
    x = np.array([2.0])
    said = [score(Sample(step, pooled=x)) for step in (0, 5, 10, 99)]
    assert said == [2.0, 2.0 * 2.0 + 0.5, 7.0, 7.0]


def test_the_baselines_know_the_clock_and_the_hand_alone() -> None:
    assert TimeScore(20.0)(Sample(30)) == 1.5
    assert StillnessScore()(Sample(0, speed=0.2)) == -0.2
    assert FvuScore()(Sample(0, fvu=0.1)) == 0.1


def test_what_a_sample_lacks_is_not_a_number() -> None:
    nothing = Sample(3)
    scores = (
        FvuScore(),
        StillnessScore(),
        MahalanobisScore(np.zeros(2), np.eye(2)),
        ProbeScore(np.zeros(1), np.ones((1, 2)), np.zeros(1)),
    )
    assert all(math.isnan(score(nothing)) for score in scores)


@pytest.mark.parametrize(
    ("name", "arrays", "words"),
    [
        ("anger", {}, "fvu, mahalanobis"),
        ("mahalanobis", {"mean": np.zeros(2)}, "mean', 'whitening"),
        ("mahalanobis", {"mean": np.zeros(3), "whitening": np.eye(2)}, "shape of 'mean'"),
        ("fvu", {"mean": np.zeros(2)}, "arrays of score 'fvu'"),
        (
            "probe",
            {"knots": np.zeros(1), "weights": np.full((1, 2), np.nan), "bias": np.zeros(1)},
            "finite",
        ),
        (
            "probe",
            {"knots": np.zeros(2), "weights": np.zeros((2, 2)), "bias": np.zeros(2)},
            "ascending",
        ),
    ],
)
def test_arrays_that_are_no_score_are_refused(
    name: str, arrays: dict[str, np.ndarray], words: str
) -> None:
    with pytest.raises(ConfigurationError, match=words):
        read_score(name, arrays, 2, 20.0)
