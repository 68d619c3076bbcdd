"""Counting outcomes and keeping them in a file."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.study.rollouts.outcomes import EpisodeOutcome, OutcomeFile, table, wilson_interval


def outcome(index: int, success: bool, steps: int, **changes: object) -> EpisodeOutcome:
    plain = EpisodeOutcome(
        "p",
        5,
        "libero_object",
        index,
        f"task {index}",
        False,
        "butter_1",
        40,
        1,
        0.0,
        None,
        success,
        steps,
        (),
    )
    return replace(plain, **changes)


def test_the_table_counts_per_task_and_over_all() -> None:
    lines = table([outcome(0, True, 80), outcome(0, False, 280), outcome(1, True, 90)]).splitlines()
    assert "1 /  2" in lines[1] and "50%" in lines[1] and "80" in lines[1]
    assert "2 /  3" in lines[3] and lines[3].startswith("all")


def test_the_table_tells_suites_and_swapped_instructions_apart() -> None:
    lines = table(
        [
            outcome(0, True, 80, asked_for_another=True, instruction="bring a"),
            outcome(0, True, 80, asked_for_another=True, instruction="bring b"),
            outcome(0, False, 280, suite="libero_object_swap", in_basket=("butter_1", "milk_1")),
            outcome(1, False, 280, suite="libero_object_swap", in_basket=("butter_1",)),
        ]
    ).splitlines()
    assert lines[1].startswith("libero_object 0: another object's") and "2 /  2" in lines[1]
    assert lines[2].split()[-1] == "1" and lines[3].split()[-1] == "0", "brought another"
    assert lines[4].startswith("libero_object_swap, all") and "0 /  2" in lines[4]
    assert lines[5].startswith("all") and "2 /  4" in lines[5]


def test_a_line_cut_short_is_run_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "outcomes.jsonl"
    file = OutcomeFile(path)
    kept = outcome(0, True, 80, exchanged=("a_1", "b_1"), in_basket=("a_1",))
    for one in (kept, outcome(1, True, 90)):
        file.add(one)
    path.write_text(path.read_text()[:-20])
    again = OutcomeFile(path)
    assert again.outcomes == [kept] and "cut short" in caplog.text
    again.add(outcome(1, False, 280))
    assert len(OutcomeFile(path).outcomes) == 2


def test_an_episode_whose_pictures_were_other_inputs_is_another_one(tmp_path: Path) -> None:
    path, names = tmp_path / "outcomes.jsonl", (("agentview", "image"), ("wrist", "image2"))
    OutcomeFile(path).add(outcome(0, True, 80, names=names))
    file = OutcomeFile(path)
    assert file.outcomes == [outcome(0, True, 80, names=names)]
    assert file.done(outcome(0, False, 0, names=names)) and not file.done(outcome(0, False, 0))


def test_an_episode_with_shuffled_objects_is_another_one(tmp_path: Path) -> None:
    file = OutcomeFile(tmp_path / "outcomes.jsonl")
    file.add(outcome(0, True, 80))
    assert file.done(outcome(0, False, 0)) and not file.done(outcome(0, False, 0, shuffled=True))


def test_an_episode_of_a_compiled_policy_is_another_one_and_older_files_have_none(
    tmp_path: Path,
) -> None:
    path = tmp_path / "outcomes.jsonl"
    file = OutcomeFile(path)
    file.add(outcome(0, True, 80))
    assert not file.done(outcome(0, False, 0, compiled=True))
    written = json.loads(path.read_text())
    del written["compiled"]
    path.write_text(json.dumps(written) + "\n")
    assert OutcomeFile(path).done(outcome(0, False, 0))


def test_a_file_of_something_else_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text('{"dear": "diary"}\n')
    with pytest.raises(ConfigurationError, match=r"Line 1 .* was not written by"):
        OutcomeFile(path)
    assert path.read_text() == '{"dear": "diary"}\n'


@pytest.mark.parametrize(("successes", "trials"), [(0, 10), (10, 10), (7, 10), (19, 20), (1, 3)])
def test_the_wilson_interval_holds_the_rates_the_data_do_not_reject(successes, trials) -> None:
    low, high = wilson_interval(successes, trials)
    share = successes / trials
    # Independent definition: the interval's ends p satisfy |share - p| = z sqrt(p (1 - p) / n).
    for end in (low, high):
        if 1e-9 < end < 1 - 1e-9:
            assert abs(share - end) == pytest.approx(1.959964 * (end * (1 - end) / trials) ** 0.5)
    assert low <= share <= high


def test_an_impossible_count_makes_no_interval() -> None:
    with pytest.raises(ValueError, match="no proportion"):
        wilson_interval(3, 2)
