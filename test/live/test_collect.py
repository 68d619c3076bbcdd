"""Which episodes `vla-sae collect` runs."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.live.collect import add_arguments, plan


def parse(*options: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return parser.parse_args(["folder", "--sites", "backbone.1", *options])


def test_every_episode_has_a_seed_of_its_own_and_a_state_for_training() -> None:
    episodes = plan(parse("--episodes", "50", "--tasks", "0", "3", "--seed", "100"))
    assert len(episodes) == 100
    assert len({episode.seed for episode in episodes}) == 100
    assert min(episode.seed for episode in episodes) == 100
    assert {episode.init_state for episode in episodes} == set(range(40))


def test_a_longer_plan_begins_like_the_shorter_one_so_that_it_can_go_on() -> None:
    short, long = plan(parse("--episodes", "3")), plan(parse("--episodes", "5"))
    assert long[: len(short)] == short


def test_instructions_multiply_the_episodes() -> None:
    episodes = plan(parse("--episodes", "1", "--instructions", "bring it", "leave it"))
    assert [episode.instruction for episode in episodes] == ["bring it", "leave it"]


@pytest.mark.parametrize("option", ["--episodes", "--every"])
def test_a_number_that_cannot_be_is_refused(option: str) -> None:
    with pytest.raises(ConfigurationError, match=option):
        plan(parse(option, "0"))


def test_a_folder_is_needed() -> None:
    assert parse().folder == Path("folder")
