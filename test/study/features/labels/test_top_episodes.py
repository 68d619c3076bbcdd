"""The best episodes of every feature, against sorting all of them at once."""

from __future__ import annotations

import numpy as np
import pytest

from vla_sae_ros.activations.codes import CodedEpisode
from vla_sae_ros.activations.format import EpisodeRecord
from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.study.features.labels.top_episodes import Peak, TopEpisodes
from vla_sae_ros.study.features.stability import largest_cosine


def coded(number: int, codes: np.ndarray) -> CodedEpisode:
    record = EpisodeRecord(number, f"e{number}", "", "", None, None, True, len(codes), {})
    return CodedEpisode(record, 5 * np.arange(len(codes)), codes)


def test_peaks_are_those_of_all_episodes_sorted_at_once() -> None:
    random = np.random.default_rng(0)
    codes = [np.maximum(random.standard_normal((t, 7)), 0) for t in (3, 9, 1, 6, 4)]
    codes[1][:, 3] = 0
    top = TopEpisodes.of((coded(n, one) for n, one in enumerate(codes)), 3)
    for feature in range(7):
        peaks = [
            Peak(f"e{n}", 5 * int(one[:, feature].argmax()), float(one[:, feature].max()))
            for n, one in enumerate(codes)
            if one[:, feature].max() > 0
        ]
        peaks.sort(key=lambda peak: -peak.value)
        assert top.peaks(feature) == tuple(peaks[:3])


def test_a_feature_that_never_fires_has_no_top_episode() -> None:
    assert TopEpisodes.of([coded(0, np.zeros((2, 1)))], 4).peaks(0) == ()


def test_no_top_episode_at_all_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="1 or more"):
        TopEpisodes(0)


def test_the_largest_cosine_is_found_whatever_the_order_and_length_of_the_rows() -> None:
    rows = np.random.default_rng(1).standard_normal((1500, 8)).astype(np.float32)
    shuffled = np.random.default_rng(2).permutation(rows) * 3
    np.testing.assert_allclose(largest_cosine(rows, shuffled), 1, rtol=1e-5)
    assert largest_cosine(rows[:1], -rows[:1]) == pytest.approx(-1)
    assert largest_cosine(np.zeros((1, 8), np.float32), rows) == 0
