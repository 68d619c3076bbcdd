"""Planning, disturbing and storing demonstrations; no simulator here."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.sim.noise import ActionNoise, NoiseSettings
from vla_sae_ros.sim.splits import TRAINING_INIT_STATES
from vla_sae_ros.study.demonstrations import command
from vla_sae_ros.study.demonstrations.command import add_arguments, parse_scene, run, scenes_of
from vla_sae_ros.study.demonstrations.files import (
    Episode,
    EpisodeInfo,
    read_arrays,
    read_episode,
    read_index,
    write_episode,
)
from vla_sae_ros.study.demonstrations.scripted import (
    SceneTargets,
    halved,
    plan_episodes,
    task_of,
)

SCENE = SceneTargets(0, ("alphabet_soup_1", "butter_1"))


def test_a_plan_is_repeatable_and_never_uses_the_held_out_init_states() -> None:
    plans = plan_episodes([SCENE], rounds=60, first_seed=100)
    assert plans == plan_episodes([SCENE], rounds=60, first_seed=100)
    assert {plan.init_state for plan in plans} <= set(TRAINING_INIT_STATES)
    assert len({plan.seed for plan in plans}) == len(plans) == 120
    assert sum(plan.target == "butter_1" for plan in plans) == 60
    moved = np.mean([plan.layout.move_objects_m > 0 for plan in plans])
    exchanged = [plan for plan in plans if plan.layout.exchange]
    assert 0.55 < moved < 0.85 and 0.15 < len(exchanged) / 120 < 0.45
    assert all(set(plan.layout.exchange or ()) == set(SCENE.targets) for plan in exchanged)


def test_a_share_of_shuffled_layouts_changes_nothing_else_in_the_plan() -> None:
    plain = plan_episodes([SCENE], rounds=60, first_seed=100)
    shuffled = plan_episodes([SCENE], rounds=60, first_seed=100, shuffled_share=0.6)
    assert 0.45 < np.mean([plan.layout.shuffle for plan in shuffled]) < 0.75
    assert not any(plan.layout.shuffle for plan in plain)
    unshuffled = [replace(plan, layout=replace(plan.layout, shuffle=False)) for plan in shuffled]
    assert unshuffled == plain


def test_a_share_of_shuffled_layouts_outside_0_to_1_is_refused(tmp_path: Path) -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    args = parser.parse_args(["--out", str(tmp_path / "demos"), "--shuffle", "1.5"])
    with pytest.raises(ConfigurationError, match="0 to 1"):
        run(args)
    assert not list(tmp_path.iterdir())


def test_seeds_of_the_evaluation_are_refused_for_training() -> None:
    with pytest.raises(ConfigurationError, match="999999"):
        plan_episodes([SCENE], rounds=1, first_seed=1_000_000)


def test_the_scene_s_own_target_keeps_the_benchmark_s_task() -> None:
    soup, butter = sorted(plan_episodes([SCENE], 1, 0), key=lambda plan: plan.target)
    assert task_of(soup).goal == ()
    assert task_of(butter).instruction == "pick up the butter and place it in the basket"


def test_a_scene_is_parsed_or_refused() -> None:
    assert parse_scene("0:alphabet_soup_1,butter_1") == SCENE
    everything = parse_scene("0:all").targets
    assert everything[0] == "alphabet_soup_1" and len(everything) == 6
    assert "salad_dressing_1" in everything and "basket_1" not in everything
    for text in ("butter_1", "0:", "x:butter_1", "0:wine_1", "44:butter_1"):
        with pytest.raises(ConfigurationError):
            parse_scene(text)


def test_a_suite_s_own_tasks_are_taught_but_those_the_expert_refuses() -> None:
    ten = scenes_of("libero_object", ())
    assert [scene.task_index for scene in ten] == list(range(10))
    assert len({target for scene in ten for target in scene.targets}) == 10
    indices = {scene.task_index for scene in scenes_of("libero_spatial", ())}
    assert indices == {0, 1, 2, 3, 5, 6, 7, 8}, "those that it solved 10 times of 10"
    with pytest.raises(ConfigurationError, match="drawer's walls"):
        scenes_of("libero_spatial", ["4:akita_black_bowl_1"])
    with pytest.raises(ConfigurationError, match="open the middle drawer"):
        scenes_of("libero_goal", ())


@pytest.mark.parametrize("suite", ["libero_object_swap", "libero_object_lan", "libero_object_task"])
def test_a_suite_of_libero_pro_is_refused_for_training(suite: str) -> None:
    with pytest.raises(ConfigurationError, match="for evaluation only"):
        scenes_of(suite, ())


def test_disturbed_actions_stay_in_range_and_are_repeatable() -> None:
    def episode(seed: int) -> np.ndarray:
        noise = ActionNoise(NoiseSettings(), np.random.default_rng(seed))
        return np.array([noise.disturb(np.full(7, 0.9))[0] for _ in range(200)])

    assert np.abs(episode(0)).max() <= 1.0
    np.testing.assert_array_equal(episode(0), episode(0))
    assert not np.array_equal(episode(0), episode(1))


def test_pushes_ignore_the_teacher_for_a_few_steps() -> None:
    settings = NoiseSettings(position_std=0.0, rotation_std=0.0, start_probability=0.0)
    noise = ActionNoise(settings, np.random.default_rng(0))
    steps = [noise.disturb(np.zeros(7)) for _ in range(2000)]
    pushed = np.array([push for _, push in steps])
    actions = np.array([action for action, _ in steps])
    assert 0.02 < pushed.mean() < 0.2
    assert np.all(actions[~pushed] == 0) and np.all(np.abs(actions[pushed, :3]).max(1) > 0)


def test_halving_averages_blocks_of_four_pixels() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (256, 256, 3)).astype(np.uint8)
    expected = picture.astype(float).reshape(128, 2, 128, 2, 3).mean((1, 3))
    assert np.abs(halved(picture) - expected).max() <= 0.5


def test_an_episode_comes_back_as_it_was_written(tmp_path: Path) -> None:
    info = EpisodeInfo(
        "one.npz",
        "libero_object",
        0,
        "pick",
        "butter_1",
        3,
        7,
        0.04,
        ("butter_1", "milk_1"),
        "expert",
        9,
        True,
    )
    generator = np.random.default_rng(0)
    episode = Episode(
        generator.integers(0, 255, (3, 2, 128, 128, 3)).astype(np.uint8),
        np.array([0, 4, 8], np.int32),
        *(generator.normal(size=(9, width)).astype(np.float32) for width in (8, 7, 7)),
        generator.random(9) > 0.5,
        generator.normal(size=(9, 6)).astype(np.float32),
    )
    write_episode(tmp_path, info, episode)
    assert read_index(tmp_path) == [info]
    again = read_episode(tmp_path, info)
    for name in Episode.__annotations__:
        np.testing.assert_array_equal(getattr(again, name), getattr(episode, name))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["index.jsonl", "one.npz"]


def test_a_damaged_file_is_named_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "episode.npz"
    np.savez(path, pictures=np.zeros(4))
    with pytest.raises(ConfigurationError, match=r"episode\.npz is damaged, or no file"):
        read_arrays(Episode, path)  # of something else
    path.write_bytes(path.read_bytes()[:-60])
    with pytest.raises(ConfigurationError, match=r"episode\.npz is damaged"):
        read_arrays(Episode, path)


def test_planned_episodes_that_are_not_made_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "make_demonstrations", lambda *_: [])
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    scene = ["--scene", "0:butter_1", "--rounds", "3"]
    assert run(parser.parse_args(["--out", str(tmp_path), *scene])) == 0
    assert "3 of 3 planned episodes were not made" in capsys.readouterr().out


def test_an_empty_folder_is_told_how_to_fill_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="vla-sae demos"):
        read_index(tmp_path)
