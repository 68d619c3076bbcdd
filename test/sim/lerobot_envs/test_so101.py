"""An SO-101 arm in MuJoCo, of a plugin that lerobot finds by its name."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("lerobot_env_so101", reason='pip install "lerobot-env-so101==0.4.0"')

import gymnasium as gym

from vla_sae_ros.core.contract import bounded_action
from vla_sae_ros.sim.lerobot_envs.benchmark import LerobotBenchmark
from vla_sae_ros.study.rollouts.simulated import executable, policy_frame

pytestmark = pytest.mark.slow


def test_its_gripper_is_bounded_otherwise_than_its_hand() -> None:
    benchmark = LerobotBenchmark("so101:image_obs=true")
    contract = benchmark.contract()
    widths = {entry.key: entry.width for entry in contract.observations if not entry.is_image}
    assert (widths, contract.fps) == ({"observation.state": 14}, 10)
    bounded = bounded_action(contract.action, np.array([2.0, -2.0, 0.5, -1.0]))
    assert bounded.values.tolist() == [1.0, -1.0, 0.5, 0.0]


def test_an_episode_is_the_one_that_gymnasium_plays() -> None:
    benchmark = LerobotBenchmark("so101:image_obs=true,random_block_position=true")
    environment = benchmark.environment()
    frame = policy_frame(environment, environment.reset(benchmark.tasks()[0], 0, seed=3))
    action = executable(environment, np.array([0.1, 0.0, -0.1, 1.0], np.float32))
    after = policy_frame(environment, environment.step(action).observation)
    environment.close()
    theirs = gym.make(
        "lerobot_env_so101/SO101PickCube-v0", image_obs=True, random_block_position=True
    )
    seen, _ = theirs.reset(seed=3)
    later, *_ = theirs.step(action.astype(np.float32))
    theirs.close()
    for ours, other in ((frame, seen), (after, later)):
        assert np.array_equal(ours["observation.images.front"], other["pixels"]["front"])
        assert np.array_equal(ours["observation.state"], other["agent_pos"])
