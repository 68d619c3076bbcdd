"""The generality metric and its classifiers, against the published data and by hand."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.study.features.generality.generality import (
    EpisodeStatistics,
    GeneralityClassifier,
    feature_metrics,
)
from vla_sae_ros.study.features.generality.generality_classifier import (
    METRICS,
    leave_one_out_accuracy,
)

REFERENCE = Path(__file__).parents[5] / "shared" / "reference"
published = pytest.mark.skipif(not REFERENCE.exists(), reason="no published data on this machine")

PRINTED = {
    "libero": (-4.2030308, 1.8008562, 1.8858431, 0.5163865, -0.3611446, 30),
    "droid": (-1.7824519, 2.3558869, 0.7408633, 0.3486593, -1.0442686, 29),
}


def read(name: str) -> object:
    return json.loads((REFERENCE / f"drvla_{name}.json").read_text())


def labels(name: str) -> tuple[np.ndarray, np.ndarray]:
    rows = read("labels")[name]  # type: ignore[index]
    fields = (
        "episode_coverage",
        "mean_onset_count",
        "mean_activation_magnitude",
        "relative_run_length",
    )
    return (
        np.array([[row[field] for field in fields] for row in rows]),
        np.array([row["label"] for row in rows], bool),
    )


def slow_metrics(episodes: list[np.ndarray], tau: float) -> Iterator[tuple[float, ...]]:
    """The definition, one feature and one step at a time."""
    for feature in range(episodes[0].shape[1]):
        active, onset_counts, magnitudes, relative, runs = 0, [], [], [], []
        for episode in episodes:
            f = episode[:, feature]
            on, onsets, steps = False, 0, 0
            for value in f:
                if value > tau:
                    onsets += not on
                    on = True
                elif value == 0:
                    on = False
                steps += on
            if f.max() > 0:
                active += 1
                magnitudes.append(f.max())
            if onsets:
                onset_counts.append(onsets)
                runs.append(steps / onsets)
                relative.append(steps / onsets / len(f))
        yield (
            active / len(episodes),
            float(np.mean(onset_counts or [0])),
            float(np.mean(magnitudes or [0])),
            float(np.mean(relative or [0])),
            float(np.mean(runs or [0])),
        )


@given(
    st.lists(
        st.integers(1, 12).flatmap(
            lambda length: arrays(
                np.float32, (length, 4), elements=st.sampled_from([0, 0.05, 0.1, 0.2, 0.7])
            )
        ),
        min_size=1,
        max_size=5,
    )
)
def test_the_metric_is_the_definition_step_by_step(episodes: list[np.ndarray]) -> None:
    measured = feature_metrics(iter(episodes))
    for feature, expected in enumerate(slow_metrics(episodes, 0.1)):
        got = (
            measured.coverage[feature],
            measured.onset_count[feature],
            measured.magnitude[feature],
            measured.relative_run_length[feature],
            measured.run_length[feature],
        )
        assert got == pytest.approx(expected, rel=1e-6)


def test_a_weak_activation_holds_a_run_and_only_zero_ends_it() -> None:
    f = np.array([[0.05], [0.5], [0.05], [0.5], [0.0], [0.05], [0.5]])
    measured = feature_metrics([f])
    assert measured.onset_count[0] == 2  # steps 1 to 3, and step 6
    assert measured.run_length[0] == pytest.approx(4 / 2)
    assert measured.relative_run_length[0] == pytest.approx(4 / 2 / 7)


def test_every_feature_can_have_a_threshold_of_its_own() -> None:
    f = np.array([[5.0, 5.0], [0.0, 0.0], [5.0, 5.0]])
    measured = feature_metrics([f], tau=np.array([1.0, 10.0]))
    assert measured.onset_count.tolist() == [2, 0]
    assert measured.alive.tolist() == [True, True]


def test_many_weightings_at_once_are_each_of_them() -> None:
    generator = np.random.default_rng(1)
    statistics = EpisodeStatistics.of(np.maximum(generator.normal(size=(3, 9, 5)), 0))
    weights = np.array([[2, 1, 0], [0, 0, 3]])
    together = statistics.metrics(weights)
    for row, weighting in enumerate(weights):
        alone = statistics.metrics(weighting)
        np.testing.assert_allclose(together.onset_count[row], alone.onset_count)
        np.testing.assert_allclose(together.coverage[row], alone.coverage)


def test_weighting_an_episode_twice_is_having_it_twice() -> None:
    generator = np.random.default_rng(0)
    episodes = [np.maximum(generator.normal(size=(9, 5)), 0) for _ in range(3)]
    weighted = EpisodeStatistics.of(episodes).metrics(np.array([2, 1, 0]))
    twice = feature_metrics([episodes[0], episodes[0], episodes[1]])
    for name in ("coverage", "onset_count", "magnitude", "relative_run_length", "run_length"):
        np.testing.assert_allclose(getattr(weighted, name), getattr(twice, name), rtol=1e-6)


@pytest.mark.parametrize(
    ("episodes", "word"),
    [
        ([], "0"),
        ([np.zeros((0, 3))], "episode 0"),
        ([np.zeros((2, 3)), np.zeros((2, 4))], "3, 4"),
        ([np.zeros((2, 3)), np.full((2, 3), np.nan)], "episode 1"),
        ([np.full((2, 3), -0.1)], "-0.1"),
    ],
)
def test_what_cannot_be_measured_is_refused_by_name(episodes: list, word: str) -> None:
    with pytest.raises(ConfigurationError, match=word):
        feature_metrics(episodes)


@published
def test_published_traces_give_the_published_onsets_and_run_lengths() -> None:
    for feature in read("traces"):  # type: ignore[attr-defined]
        episodes = [np.array(one["values"])[:, None] for one in feature["episodes"]]
        measured, said = feature_metrics(episodes), feature["published"]
        assert measured.onset_count[0] == pytest.approx(said["mean_onset_count"], abs=1e-3)
        assert measured.run_length[0] == pytest.approx(said["mean_run_length"], abs=1e-3)
        assert measured.relative_run_length[0] == pytest.approx(
            said["mean_relative_run_length"], abs=1e-3
        )


@published
@pytest.mark.parametrize("name", ["libero", "droid"])
def test_a_refit_of_the_published_labels_gives_every_printed_digit(name: str) -> None:
    intercept, *weights, right = PRINTED[name]
    metrics, general = labels(name)
    fitted = GeneralityClassifier.fit(metrics, general)
    assert round(fitted.intercept, 7) == intercept
    assert [round(weight, 7) for weight in fitted.weights] == weights
    assert leave_one_out_accuracy(metrics, general) == (right, 30)


@pytest.mark.parametrize("name", ["libero", "droid"])
def test_the_published_classifiers_are_the_printed_ones(name: str) -> None:
    classifier = GeneralityClassifier.published(name)
    assert (classifier.intercept, *classifier.weights) == PRINTED[name][:5]


@published
def test_the_published_classifier_gives_every_published_class() -> None:
    features = read("stats")["features"]  # type: ignore[index]
    fields = (
        "episode_coverage",
        "mean_onset_count",
        "mean_nonzero_activation",
        "mean_relative_run_length",
    )
    values = ([one[field] for one in features] for field in fields)
    probability = GeneralityClassifier.published("libero").probability(*values)
    assert [bool(p >= 0.5) for p in probability] == [one["general"] for one in features]


@pytest.mark.parametrize(
    ("metrics", "general"),
    [
        (np.zeros((3, 3)), [True, False, True]),
        (np.zeros((3, 4)), [True, False]),
        (np.full((2, 4), np.inf), [True, False]),
        (np.zeros((2, 4)), [True, True]),
    ],
)
def test_labels_that_cannot_be_fitted_are_refused(metrics: np.ndarray, general: list) -> None:
    with pytest.raises(ConfigurationError):
        GeneralityClassifier.fit(metrics, general)


def test_an_unknown_published_classifier_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigurationError, match="droid or libero"):
        GeneralityClassifier.published("bridge")
    assert len(METRICS) == 4
