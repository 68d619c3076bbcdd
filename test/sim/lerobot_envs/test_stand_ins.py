"""RoboCasa's and LIBERO-plus' spaces through the adapter, with stand-ins for their simulators."""

from __future__ import annotations

import lerobot_stand_ins
import numpy as np
import pytest
import torch
from lerobot.processor import LiberoProcessorStep

from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.sim.environment import Layout
from vla_sae_ros.sim.lerobot_envs.benchmark import LerobotBenchmark
from vla_sae_ros.study.rollouts.playing import play_trial
from vla_sae_ros.study.rollouts.simulated import executable, policy_frame
from vla_sae_ros.study.rollouts.trials import Trial

lerobot_stand_ins.register()
ROBOCASA = "robocasa_stand_in"
LIBERO_PLUS = "libero_plus_stand_in"


@pytest.fixture
def opened():
    environments = []

    def make(env: str, **limits):
        benchmark = LerobotBenchmark(env)
        environment = benchmark.environment(**limits)
        environments.append(environment)
        return environment, benchmark.tasks()

    yield make
    for environment in environments:
        environment.close()


def played(environment, task, seed, steps=4, init_state=0):
    """Return the frames of an episode in which the same actions are done."""
    observation = environment.reset(task, init_state, seed)
    frames = [policy_frame(environment, observation)]
    width = environment.contract.action.width
    for number in range(steps):
        action = executable(environment, np.full(width, 0.1 * number, np.float32))
        frames.append(policy_frame(environment, environment.step(action).observation))
    return frames


def same(first, second) -> bool:
    return all(
        a.keys() == b.keys() and all(np.array_equal(a[key], b[key]) for key in a)
        for a, b in zip(first, second, strict=True)
    )


def test_robocasas_contract_has_its_three_cameras_its_state_and_its_action() -> None:
    contract = LerobotBenchmark(ROBOCASA).contract()
    keys = {entry.key: entry for entry in contract.observations}
    assert set(keys) == {
        "observation.images.robot0_agentview_left",
        "observation.images.robot0_agentview_right",
        "observation.images.robot0_eye_in_hand",
        "observation.state",
    }
    assert (keys["observation.state"].width, contract.action.width, contract.fps) == (16, 12, 20)


def test_libero_plus_state_is_what_lerobots_processor_makes_of_the_robot() -> None:
    contract = LerobotBenchmark(LIBERO_PLUS).contract()
    state = next(entry for entry in contract.observations if entry.key == "observation.state")
    assert (state.width, contract.action.width) == (8, 7)


def test_an_episode_follows_from_its_task_and_seed_whatever_ran_before(opened) -> None:
    for env in (ROBOCASA, LIBERO_PLUS):
        environment, tasks = opened(env)
        first = played(environment, tasks[0], seed=3)
        assert not same(first, played(environment, tasks[0], seed=4))
        assert same(first, played(environment, tasks[0], seed=3))
        fresh, _ = opened(env)
        assert same(first, played(fresh, tasks[0], seed=3))


def test_pictures_and_state_are_those_that_lerobots_own_steps_give(opened) -> None:
    environment, tasks = opened(LIBERO_PLUS)
    observation = environment.reset(tasks[0], 0, 5)
    frame = policy_frame(environment, observation)
    reference = lerobot_stand_ins.LiberoPlusStandIn("", 360, 360)
    raw, _ = reference.reset(seed=5)
    # Turned by half a turn, as lerobot's policies for LIBERO are trained.
    assert np.array_equal(frame["observation.images.image"], raw["pixels"]["image"][::-1, ::-1])
    robot = {
        part: {key: torch.from_numpy(value)[None] for key, value in values.items()}
        for part, values in raw["robot_state"].items()
    }
    expected = LiberoProcessorStep().observation({"observation.robot_state": robot})
    assert np.array_equal(frame["observation.state"], expected["observation.state"][0].numpy())


def test_a_success_ends_the_episode_and_shows_its_last_state(opened) -> None:
    environment, tasks = opened(ROBOCASA)
    environment.reset(tasks[0], 0, 1)
    results = [environment.step(np.zeros(12)) for _ in range(lerobot_stand_ins.STEPS)]
    assert [result.success for result in results] == [False] * 5 + [True]
    assert results[-1].ended
    picture = environment.render("robot0_eye_in_hand")
    # Another step would begin the next episode: nothing changes any more.
    assert environment.step(np.zeros(12)) == results[-1]
    assert np.array_equal(environment.render("robot0_eye_in_hand"), picture)


def test_recorded_initial_states_are_chosen_by_number(opened) -> None:
    environment, tasks = opened(LIBERO_PLUS)
    one, two = (played(environment, tasks[0], 3, init_state=state) for state in (1, 2))
    assert not same(one, two)
    assert same(one, played(environment, tasks[0], 3, init_state=1))
    with pytest.raises(ConfigurationError, match="0 to 2"):
        environment.reset(tasks[0], 3, 0)
    environment, tasks = opened(ROBOCASA)
    with pytest.raises(ConfigurationError, match="the seed decides the scene"):
        environment.reset(tasks[0], 1, 0)


def test_the_instruction_is_the_one_of_the_scene_at_hand(opened) -> None:
    environment, (task,) = opened(ROBOCASA)
    said = []

    def answer(query):
        said.append(query.instruction)
        return np.zeros((8, 12), np.float32)

    for seed in range(6):  # RoboCasa words it at each reset, LIBERO-plus once and for all
        assert play_trial(environment, Trial(task, 0, seed), 8, answer)
    assert set(said) == {"close the fridge", "close the oven"}
    environment, tasks = opened(LIBERO_PLUS)
    said.clear()
    play_trial(environment, Trial(tasks[0], 0, 0), 8, lambda query: answer(query)[:, :7])
    assert said == [tasks[0].instruction]


def test_what_only_libero_has_is_refused(opened) -> None:
    environment, tasks = opened(ROBOCASA)
    with pytest.raises(ConfigurationError, match="layout"):
        environment.reset(tasks[0], 0, 0, Layout(move_objects_m=0.02))
    environment.reset(tasks[0], 0, 0)
    with pytest.raises(ConfigurationError, match="12 finite numbers"):
        environment.step(np.zeros(7))


def test_settings_of_lerobots_configuration_are_named_with_the_environment() -> None:
    text = f"{ROBOCASA}:camera_name=left,right,observation_height=64,task=OpenDrawer"
    benchmark = LerobotBenchmark(text)
    facts = benchmark.facts()
    assert facts.shapes["observation.images.right"] == (3, 64, 256)
    (task,) = facts.tasks
    assert task.suite == "OpenDrawer" and "task=" not in task.env


def test_tasks_keep_lerobots_numbers() -> None:
    benchmark = LerobotBenchmark(LIBERO_PLUS)
    assert [task.task_index for task in benchmark.tasks("libero_goal")] == [0, 7]
    assert benchmark.find_task("libero_goal", 7).instruction.endswith("please")
    with pytest.raises(ConfigurationError, match="7"):
        benchmark.find_task("libero_goal", 1)
