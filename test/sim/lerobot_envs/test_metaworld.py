"""Meta-World itself, against lerobot's own loop over its own classes."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("metaworld", reason='pip install "metaworld==3.1.1"')

from lerobot.envs.configs import MetaworldEnv
from lerobot.envs.factory import make_env

from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.sim.lerobot_envs.benchmark import LerobotBenchmark
from vla_sae_ros.study.rollouts.simulated import executable, policy_frame

SUITE = "reach-v3"
pytestmark = pytest.mark.slow


def test_an_episode_is_the_one_that_lerobots_own_classes_play() -> None:
    benchmark = LerobotBenchmark("metaworld")
    (task,) = benchmark.tasks(SUITE)
    assert (task.instruction, task.max_steps) == ("Reach a goal position", 500)
    environment = benchmark.environment(SUITE)
    frames = [policy_frame(environment, environment.reset(task, 0, seed=11))]
    chunk = np.random.default_rng(0).uniform(-2, 2, (3, 4)).astype(np.float32)
    for action in chunk:
        result = environment.step(executable(environment, action))
        frames.append(policy_frame(environment, result.observation))
    environment.close()

    (theirs,) = make_env(MetaworldEnv(task=SUITE), n_envs=1)[SUITE].values()
    seen, _ = theirs.reset(seed=[11])
    expected = [seen]
    for action in np.clip(chunk, -1, 1):
        seen, *_ = theirs.step(action[None])
        expected.append({key: np.array(value) for key, value in seen.items()})
    theirs.close()
    for frame, other in zip(frames, expected, strict=True):
        assert np.array_equal(frame["observation.image"], other["pixels"][0])
        assert np.array_equal(frame["observation.state"], other["agent_pos"][0].astype(np.float32))
    # The floor behind the robot is dark and the table before it light: the picture is upright.
    picture = frames[0]["observation.image"].astype(float)
    red = picture[:, :, 0] - picture[:, :, 1:].mean(axis=2)
    rows = np.flatnonzero((red > 60).any(axis=1))
    assert rows.min() < 60, "the robot's shoulder is at the top"


def test_a_task_that_lerobot_does_not_make_is_refused_with_its_words() -> None:
    with pytest.raises(ConfigurationError, match=r"push-v2.*--suite"):
        LerobotBenchmark("metaworld").tasks()
