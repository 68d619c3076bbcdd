"""Two episodes compared: the numbers are those of the geometry, and what is no pair says so."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from vla_sae_ros.bags.episode_trace import EpisodeTrace, Series
from vla_sae_ros.bags.reading import Bag, read_bag
from vla_sae_ros.cli import main
from vla_sae_ros.core.errors import RecordingError
from vla_sae_ros.study.plots.paired_effect import paired_effect


@pytest.fixture(scope="module")
def bag(synthetic_bag: Path) -> Bag:
    return read_bag(synthetic_bag, pictures=False)


def moved(trace: EpisodeTrace, by: list[float], after: int) -> EpisodeTrace:
    """The trace with its hand shifted by a constant from a step on."""
    values = trace.position.values + np.outer(trace.position.step > after, by)
    return replace(trace, position=Series(trace.position.step, values))


def test_a_shift_of_the_hand_is_found_in_size_time_and_direction(bag: Bag) -> None:
    plain = bag.episodes[0]
    other = moved(replace(plain, steps=40), [0.003, 0.0, 0.004], after=20)
    effect = paired_effect(plain, other)
    assert effect.steps == 40 and effect.unpaired == () and effect.parted_at is None
    figures = effect.figures()
    assert figures["largest displacement [mm]"] == pytest.approx(5.0)
    assert figures["largest displacement at [s]"] == pytest.approx(25 / 20)
    assert figures["displacement at the common end [mm]"] == pytest.approx(5.0)
    # 0 up to step 20, a ramp to step 25 (interpolated), 5 mm to step 40: 41 steps.
    assert figures["mean displacement [mm]"] == pytest.approx((1 + 2 + 3 + 4 + 16 * 5) / 41)
    assert figures["path length a [m]"] == pytest.approx(0.040)


def test_the_displacement_over_the_steering_is_told_per_axis(bag: Bag) -> None:
    plain, steered = bag.episodes
    figures = paired_effect(plain, moved(steered, [0.0, -0.01, 0.0], after=20)).figures()
    assert (figures["steering from [s]"], figures["steering to [s]"]) == (0.5, 1.5)
    assert figures["displacement over the steering, y [mm]"] == pytest.approx(-10.0)
    assert figures["displacement over the steering, z [mm]"] == pytest.approx(0.0)


def test_the_first_action_that_differs_is_told(bag: Bag) -> None:
    plain = bag.episodes[0]
    actions = plain.actions.copy()
    actions[13:] += 0.1
    assert paired_effect(plain, replace(plain, actions=actions)).parted_at == 13


def test_what_is_no_pair_is_named(bag: Bag) -> None:
    plain = bag.episodes[0]
    assert paired_effect(plain, replace(plain, seed=8)).unpaired == ("seed: 7 and 8",)


def test_an_episode_without_positions_is_refused(bag: Bag) -> None:
    nowhere = replace(bag.episodes[0], position=Series(np.zeros(0, np.int64), np.zeros((0, 0))))
    with pytest.raises(RecordingError, match="ee_pose"):
        paired_effect(bag.episodes[1], nowhere)


def test_the_command_writes_picture_page_and_numbers(
    synthetic_bag: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["bag", "compare", str(synthetic_bag), "--output", str(out)]) == 0
    shown = capsys.readouterr().out
    assert "succeeded" in shown and "mean displacement [mm]" in shown
    report = json.loads((out / "compare.json").read_text())
    assert report["success"] == [False, True] and report["steps"] == [60, 40]
    assert (out / "compare.png").read_bytes().startswith(b"\x89PNG")
    page = (out / "compare.html").read_text()
    assert "scatter3d" in page and "<script src=" not in page


def test_an_episode_is_not_compared_with_itself(
    synthetic_bag: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["bag", "compare", str(synthetic_bag), "--output", str(tmp_path)]
    assert main([*arguments, "--episodes", "1", "plain"]) == 1
    assert "two different ones" in capsys.readouterr().err
