"""Which episodes are run: seeds, moved and exchanged objects, other objects' instructions."""

from __future__ import annotations

import pytest

from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.sim.environment import Layout
from vla_sae_ros.sim.splits import EVALUATION_SEED
from vla_sae_ros.sim.suites import find_task, target_and_goal
from vla_sae_ros.study.rollouts.trials import (
    parse_range,
    parse_suites,
    parse_tasks,
    plan_trials,
)

TASK = find_task("libero_object", 0)
OTHERS = {"butter_1", "cream_cheese_1", "milk_1", "salad_dressing_1", "tomato_sauce_1"}


def test_every_trial_has_a_seed_that_training_never_uses() -> None:
    trials = plan_trials([TASK], range(40, 50), 20, Layout(0.04))
    assert min(trial.seed for trial in trials) >= EVALUATION_SEED
    assert len({trial.seed for trial in trials}) == 20
    assert sorted({trial.init_state for trial in trials}) == list(range(40, 50))


def test_the_first_seed_can_be_chosen_and_each_episode_has_the_next() -> None:
    trials = plan_trials([TASK], [40, 41], 3, Layout(0.04), first_seed=7_000_000)
    assert [trial.seed for trial in trials] == [7_000_000, 7_000_001, 7_000_002]
    with pytest.raises(ConfigurationError, match="0 or more"):
        plan_trials([TASK], [40], 1, Layout(), first_seed=-1)


def test_a_swapped_instruction_asks_for_each_other_object_and_its_predicate_decides() -> None:
    trials = plan_trials([TASK], [40], 10, Layout(), swap_instruction=True)
    assert {target_and_goal(trial.task)[0] for trial in trials} == OTHERS
    for trial in trials:
        target = target_and_goal(trial.task)[0]
        assert target.rsplit("_", 1)[0].replace("_", " ") in trial.task.instruction
        assert trial.task.problem_file == TASK.problem_file and trial.asked_for_another
        assert trial.layout.exchange is None


def test_the_two_objects_places_can_be_exchanged_with_either_instruction() -> None:
    for swap in (False, True):
        trials = plan_trials([TASK], [40], 5, Layout(0.04), exchange=True, swap_instruction=swap)
        assert {trial.layout.exchange for trial in trials} == {
            ("alphabet_soup_1", other) for other in OTHERS
        }
        for trial in trials:
            asked = target_and_goal(trial.task)[0]
            assert trial.layout.exchange is not None
            assert asked == trial.layout.exchange[1 if swap else 0]
            assert trial.layout.move_objects_m == 0.04


def test_a_scene_without_another_object_to_bring_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="libero_spatial"):
        plan_trials([find_task("libero_spatial", 0)], [40], 1, Layout(), swap_instruction=True)


def test_tasks_are_parsed_or_refused() -> None:
    assert len(parse_tasks("libero_object", "all")) == 10
    official, butter = parse_tasks("libero_object", "0,0:butter_1")
    assert official.goal == () and "butter" in butter.instruction
    for text in ("x", "0:wine_1", "10", ""):
        with pytest.raises(ConfigurationError):
            parse_tasks("libero_object", text)


def test_several_suites_are_named_with_commas() -> None:
    tasks = parse_suites("libero_object_swap, libero_object_lan", "0,3")
    assert [(task.suite, task.task_index) for task in tasks] == [
        ("libero_object_swap", 0),
        ("libero_object_swap", 3),
        ("libero_object_lan", 0),
        ("libero_object_lan", 3),
    ]
    with pytest.raises(ConfigurationError, match="libero_object_swap"):
        parse_suites("libero_object_swp", "all")


def test_ranges_are_parsed_or_refused() -> None:
    assert parse_range("40-42,7") == [40, 41, 42, 7]
    for text in ("40-x", "9-3", "", "1,"):
        with pytest.raises(ConfigurationError):
            parse_range(text)


@pytest.mark.parametrize("text", ["49-40", "40-42,49-45", "²", "4-²"])
def test_a_range_without_a_number_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="range"):
        parse_range(text)


@pytest.mark.parametrize("text", ["libero_object_swap,", ",libero_object_swap"])
def test_a_suite_without_a_name_among_others_is_not_the_default_one(text: str) -> None:
    with pytest.raises(ConfigurationError, match="Suites cannot be read"):
        parse_suites(text, "0")
