"""What suites and tasks are installed."""

from __future__ import annotations

import pytest

from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.sim.suites import (
    find_task,
    goal_predicates,
    load_init_state,
    retarget,
    suite_names,
    suite_tasks,
)


def test_suites_that_are_registered_without_files_are_not_offered() -> None:
    assert {"libero_object", "libero_spatial", "libero_goal", "libero_10"} <= set(suite_names())
    with pytest.raises(ConfigurationError, match="registered without files"):
        suite_tasks("libero_object_env")


def test_an_unknown_suite_is_refused_with_the_installed_ones() -> None:
    with pytest.raises(ConfigurationError, match="libero_spatial"):
        suite_tasks("libero_subject")


def test_an_unknown_task_is_refused_with_the_suite_s_tasks() -> None:
    with pytest.raises(ConfigurationError, match="6: pick up the butter"):
        find_task("libero_object", 10)


def test_perturbed_suites_are_told_their_own_instruction() -> None:
    plain, reworded = find_task("libero_object", 0), find_task("libero_object_lan", 0)
    assert plain.instruction == "pick up the alphabet soup and place it in the basket"
    assert reworded.instruction == "grab alphabet soup and put it into basket"
    assert "cream cheese" in find_task("libero_object_task", 0).instruction


def test_instructions_of_scenes_without_a_number_are_whole() -> None:
    assert find_task("libero_study_table", 0).instruction.startswith("prepare a meal")
    assert find_task("libero_90", 0).instruction.startswith("close the top drawer")


def test_tasks_without_init_states_are_not_offered_and_the_others_keep_their_numbers() -> None:
    offered = [task.task_index for task in suite_tasks("libero_10_with_milk")]
    assert offered == [0, 1, 2, 5, 6, 7, 8, 9]
    assert find_task("libero_10_with_milk", 5).task_index == 5
    with pytest.raises(ConfigurationError, match="Unknown task of libero_10_with_milk"):
        find_task("libero_10_with_milk", 3)


@pytest.mark.parametrize(
    ("suite", "limit"),
    [
        ("libero_spatial", 220),
        ("libero_object_swap", 280),
        ("libero_goal", 300),
        ("libero_10", 520),
        ("libero_90", 400),
    ],
)
def test_step_limits_are_the_benchmark_s(suite: str, limit: int) -> None:
    assert find_task(suite, 0).max_steps == limit


def test_retargeting_changes_what_is_said_and_what_counts() -> None:
    task = find_task("libero_object", 0)
    butter = retarget(task, "butter_1")
    assert butter.instruction == find_task("libero_object", 6).instruction
    assert goal_predicates(task) == (("in", "alphabet_soup_1", "basket_1_contain_region"),)
    assert goal_predicates(butter) == (("in", "butter_1", "basket_1_contain_region"),)
    with pytest.raises(ConfigurationError, match="cream_cheese_1"):
        retarget(task, "wine_1")


def test_there_are_fifty_init_states() -> None:
    task = find_task("libero_object", 0)
    assert load_init_state(task, 49).ndim == 1
    with pytest.raises(ConfigurationError, match="0 to 49"):
        load_init_state(task, -1)
