"""Scores that are known beforehand: the alarm keeps its rate, and the probe finds what is there."""

from __future__ import annotations

import numpy as np
import pytest
from monitored import RATE, WIDTH, episode

from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.monitors.scores import FvuScore, ProbeScore, TimeScore
from vla_sae_ros.study.monitoring.episodes import MonitoredEpisode
from vla_sae_ros.study.monitoring.fitting import calibrated, fit_mahalanobis, peak, verdicts
from vla_sae_ros.study.monitoring.fitting import rate_range as range_of
from vla_sae_ros.study.monitoring.parts import Parts, divided
from vla_sae_ros.study.monitoring.probe_fit import fit_probe


def random_episode(draw: np.random.Generator, number: int) -> MonitoredEpisode:
    """Return an episode of a length of its own; its scores drift, and spread more with time."""
    length = int(draw.integers(10, 31))
    time = np.arange(length) / 30
    own = draw.normal()  # what its inferences have in common
    return episode(number, np.sin(3 * time) + (0.2 + time) * (draw.normal(size=length) + own))


@pytest.mark.parametrize("window", [0.0, 0.3])
def test_over_many_sets_successes_leave_the_band_as_often_as_was_asked_for(window: float) -> None:
    draw, rate, sets, others = np.random.default_rng(7), 0.2, 150, 10
    found = []
    for _ in range(sets):
        episodes = [random_episode(draw, number) for number in range(15 + 24 + others)]
        parts = Parts(tuple(episodes[:15]), (), tuple(episodes[15:39]), ())
        one = calibrated("fvu", FvuScore(), window, parts, RATE, rate)
        said = [verdicts(one, other, RATE)[-1].alarm for other in episodes[39:]]
        found.append(float(np.mean(said)))
    # 24 + 1 episodes, the 20th is the threshold: exactly one in five beyond it.
    error = np.std(found) / np.sqrt(sets)
    assert abs(np.mean(found) - 0.2) < 4 * error and error < 0.02


def test_the_clocks_threshold_is_a_long_success() -> None:
    lengths = range(1, 20)
    parts = Parts((), (), tuple(episode(n, [0.0] * n) for n in lengths), ())
    one = calibrated("time", TimeScore(RATE), 0.0, parts, RATE, 0.1)
    # Of 19 the 18th longest: its last inference is at step 34, 1.7 s.
    assert one.band.threshold(0) == one.band.threshold(999) == pytest.approx(1.7)


def test_a_calibration_has_the_rate_of_its_beta_distribution() -> None:
    # Angelopoulos and Bates (2021): with 1,000 points and alpha 0.1 coverage is 0.90 +- 0.02.
    low, high = range_of(1000, 0.1)
    assert 0.08 < low < 0.09 < 0.11 < high < 0.12
    low, high = range_of(9, 0.1)
    assert low < 0.01 and high > 0.25


def test_the_shrunk_distance_of_normal_activations_is_that_of_their_number() -> None:
    draw = np.random.default_rng(0)
    mixing = draw.normal(size=(WIDTH, WIDTH))
    score = fit_mahalanobis(draw.normal(size=(5000, WIDTH)) @ mixing + 3.0)
    x = draw.normal(size=(2000, WIDTH)) @ mixing + 3.0
    distances = [float(np.linalg.norm(score.whitening @ (one - score.mean))) for one in x]
    assert np.mean(np.square(distances)) == pytest.approx(WIDTH, rel=0.06)


def test_activations_that_do_not_vary_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="do not vary"):
        fit_mahalanobis(np.ones((20, WIDTH)))


def planted(draw: np.random.Generator, number: int, fails: bool, told: bool) -> MonitoredEpisode:
    """Return noise; if told, a failing one says so along the second axis from its middle on."""
    x = draw.normal(size=(20 if fails else 16, WIDTH))
    if told and fails:
        x[8:, 1] += 4.0
    return episode(number, [0.0] * len(x), not fails, x)


def fitted_and_peaks(told: bool) -> tuple[ProbeScore, list[float], list[float]]:
    draw = np.random.default_rng(1)
    groups = [[planted(draw, n, fails, told) for n in range(40)] for fails in (False, True)]
    probe = fit_probe(groups[0][:20], groups[1][:20])
    assert probe is not None

    def highest(one: MonitoredEpisode) -> float:
        return max(probe(sample) for sample in one.samples[:16])

    return probe, [highest(e) for e in groups[0][20:]], [highest(e) for e in groups[1][20:]]


def auroc(successes: list[float], failing: list[float]) -> float:
    return float(np.mean([bad > good for bad in failing for good in successes]))


def test_a_probe_finds_what_tells_failures_and_when() -> None:
    probe, successes, failing = fitted_and_peaks(told=True)
    assert auroc(successes, failing) > 0.95
    early, late = probe.weights[0], probe.weights[-1]
    assert late[1] > 3 * abs(early[1])
    assert late[1] > 3 * np.abs(np.delete(late, 1)).max()


def test_a_probe_does_not_read_the_clock() -> None:
    """Failing episodes are longer, and nothing else tells them."""
    probe, successes, failing = fitted_and_peaks(told=False)
    assert abs(auroc(successes, failing) - 0.5) < 0.25
    assert probe.knots[-1] == 2 * 15  # the last step at which successes run, too


def test_with_a_single_failure_there_is_no_probe() -> None:
    draw = np.random.default_rng(0)
    successes = [planted(draw, n, False, True) for n in range(5)]
    assert fit_probe(successes, [planted(draw, 9, True, True)]) is None


def test_no_episode_is_in_two_parts_and_failures_calibrate_nothing() -> None:
    episodes = [episode(n, [0.0], success=n % 5 != 0) for n in range(50)]
    parts = divided(episodes, 0.4, 0.4, 0)
    every = [*parts.fit, *parts.failing, *parts.calibration, *parts.rest]
    assert sorted(one.episode_id for one in every) == sorted(one.episode_id for one in episodes)
    assert all(one.success for one in (*parts.fit, *parts.calibration))
    sizes = [len(each) for each in (parts.fit, parts.failing, parts.calibration, parts.rest)]
    assert sizes == [16, 7, 16, 11]
    assert divided(episodes, 0.4, 0.4, 0) == parts != divided(episodes, 0.4, 0.4, 1)


@pytest.mark.parametrize("shares", [(0.0, 0.5), (0.7, 0.4), (0.5, 0.0)])
def test_shares_that_cannot_be_are_refused(shares: tuple[float, float]) -> None:
    episodes = [episode(n, [0.0]) for n in range(20)]
    with pytest.raises(ConfigurationError, match="together at most 1"):
        divided(episodes, *shares, 0)


def test_a_calibration_episode_without_the_score_is_told_of() -> None:
    parts = Parts(
        tuple(episode(n, [0.1, 0.2]) for n in range(5)),
        (),
        tuple(episode(n, [0.1 if n else float("nan")]) for n in range(12)),
        (),
    )
    with pytest.raises(ConfigurationError, match="fvu is never known: got 1"):
        calibrated("fvu", FvuScore(), 0.0, parts, RATE, 0.1)
    assert np.isnan(peak(()))
