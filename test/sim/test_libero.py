"""LIBERO behind the Environment protocol; one scene for all, because making it is slow."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator

import numpy as np
import pytest

from vla_sae_ros.core.errors import ConfigurationError, SimulationError
from vla_sae_ros.sim.conventions import libero_state
from vla_sae_ros.sim.environment import Layout, Observation
from vla_sae_ros.sim.expert import expert_action
from vla_sae_ros.sim.libero import SETTLE_ACTION, LiberoEnvironment
from vla_sae_ros.sim.suites import find_task, retarget

TASK = find_task("libero_object", 0)
MOVED = Layout(move_objects_m=0.04)


@pytest.fixture(scope="module")
def environment() -> Iterator[LiberoEnvironment]:
    environment = LiberoEnvironment()
    yield environment
    environment.close()


def rollout_digest(
    environment: LiberoEnvironment, actions: np.ndarray, layout: Layout = Layout(), seed: int = 3
) -> str:
    digest = hashlib.sha256()
    observation = environment.reset(TASK, 5, seed, layout)
    for action in actions:
        digest.update(libero_state(observation).tobytes() + observation.joint_position.tobytes())
        observation = environment.step(action).observation
    for camera in environment.cameras:
        digest.update(environment.render(camera).tobytes())
    return digest.hexdigest()


def random_actions(seed: int, steps: int = 12) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, (steps, 7))


def test_the_same_episode_gives_the_same_bits_whatever_ran_before(environment) -> None:
    actions = random_actions(0)
    first = rollout_digest(environment, actions)
    rollout_digest(environment, random_actions(1), MOVED)
    assert rollout_digest(environment, actions) == first
    assert rollout_digest(environment, random_actions(1)) != first


def test_a_moved_layout_is_a_function_of_its_seed(environment) -> None:
    actions = random_actions(0, steps=2)
    first = rollout_digest(environment, actions, MOVED, seed=3)
    assert rollout_digest(environment, actions, MOVED, seed=4) != first
    assert rollout_digest(environment, actions, MOVED, seed=3) == first


def test_a_reset_leaves_the_callers_random_numbers_alone(environment) -> None:
    np.random.seed(7)
    expected = np.random.RandomState(7).random(3)
    environment.reset(TASK, 0, 99)
    np.testing.assert_array_equal(np.random.random(3), expected)


def test_exchanged_objects_stand_in_each_others_place(environment) -> None:
    environment.reset(TASK, 5, 0)
    before = environment.object_positions()
    environment.reset(TASK, 5, 0, Layout(exchange=("butter_1", "alphabet_soup_1")))
    after = environment.object_positions()
    np.testing.assert_allclose(after["butter_1"][:2], before["alphabet_soup_1"][:2], atol=0.01)
    np.testing.assert_allclose(after["alphabet_soup_1"][:2], before["butter_1"][:2], atol=0.01)
    np.testing.assert_allclose(after["milk_1"], before["milk_1"], atol=0.005)


def test_pictures_are_upright_after_libero_s_half_turn(environment) -> None:
    environment.reset(TASK, 0, 0)
    picture = environment.render("agentview")
    assert picture.shape == (256, 256, 3) and picture.dtype == np.uint8
    # The basket is at positive y: on the left of the half-turned picture, as light wicker.
    left, right = picture[100:160, 30:95].mean(), picture[100:160, 200:250].mean()
    assert left > right + 10


def test_the_observation_is_that_of_a_robot_at_rest(environment) -> None:
    observation = environment.reset(TASK, 0, 0)
    assert isinstance(observation, Observation)
    assert observation.joint_position.shape == (7,) and observation.gripper_qpos.shape == (2,)
    assert np.isclose(np.linalg.norm(observation.ee_quaternion), 1.0, atol=1e-6)
    assert observation.gripper_qpos[0] > 0.035, "the settle steps hold the gripper open"
    assert libero_state(observation)[3] == pytest.approx(np.pi, abs=0.2)


@pytest.mark.parametrize("target", ["butter_1", "salad_dressing_1"])
def test_the_expert_brings_the_object_that_the_task_names(environment, target: str) -> None:
    task = retarget(TASK, target)
    observation = environment.reset(task, 41, 1_000_000, MOVED)
    for _ in range(130):
        result = environment.step(expert_action(environment.privileged(observation), target))
        observation = result.observation
        if result.success:
            return
    pytest.fail(f"{target} was not in the basket after 130 steps")


@pytest.mark.parametrize(
    "action", [np.zeros(6), np.full(7, np.nan), np.array([0, 0, 0, 0, 0, 0, 1.5])]
)
def test_a_malformed_action_is_refused_and_nothing_moves(environment, action) -> None:
    environment.reset(TASK, 0, 0)
    before = environment.object_positions()
    with pytest.raises(ConfigurationError, match="7 finite numbers"):
        environment.step(action)
    after = environment.object_positions()
    assert all(np.array_equal(before[name], after[name]) for name in before)


def test_an_unknown_init_state_is_refused_with_the_range(environment) -> None:
    with pytest.raises(ConfigurationError, match="0 to 49"):
        environment.reset(TASK, 50, 0)


def test_an_unknown_camera_is_refused_with_the_names(environment) -> None:
    with pytest.raises(ConfigurationError, match="agentview, wrist"):
        environment.render("frontview")


def test_an_unknown_object_cannot_be_exchanged(environment) -> None:
    with pytest.raises(ConfigurationError, match="alphabet_soup_1"):
        environment.reset(TASK, 0, 0, Layout(exchange=("butter_1", "wine_1")))


def test_nothing_can_be_done_before_a_reset_or_after_closing() -> None:
    environment = LiberoEnvironment()
    with pytest.raises(SimulationError, match="reset first"):
        environment.step(np.zeros(7))
    environment.close()
    environment.close()
    with pytest.raises(SimulationError, match="closed"):
        environment.reset(TASK, 0, 0)


def test_a_step_that_ends_late_is_forgotten_by_the_next_reset() -> None:
    environment = LiberoEnvironment()
    environment.reset(TASK, 0, 0)
    expected = environment.step(SETTLE_ACTION).observation
    release = threading.Event()
    try:
        environment._episode._step_limit_s = 0.05
        with pytest.raises(SimulationError, match=r"did not look within 0\.05 s"):
            environment._episode.call("look", lambda scene: release.wait())
        environment._episode._step_limit_s = 60.0
        release.set()
        with pytest.raises(SimulationError, match=r"earlier call to look.*Call reset"):
            environment.step(SETTLE_ACTION)
        environment.reset(TASK, 0, 0)
        again = environment.step(SETTLE_ACTION).observation
        np.testing.assert_array_equal(again.joint_position, expected.joint_position)
    finally:
        release.set()
        environment.close()


@pytest.mark.slow
@pytest.mark.parametrize("quality", ["quick", "full"])
@pytest.mark.parametrize(
    ("suite", "index"),
    # Seven objects on a floor; a stove whose flame is a site that lights up, and a drawer.
    [("libero_object", 0), ("libero_goal", 7)],
)
def test_pictures_drawn_in_the_background_are_those_drawn_here(
    quality: str, suite: str, index: int
) -> None:
    environment = LiberoEnvironment(quality)
    try:
        environment.reset(find_task(suite, index), 2, 4)
        renderer = environment.background_renderer(lambda: None)
        for action in random_actions(2, steps=3):
            environment.step(action)
            assert renderer.submit()
            pictures = renderer.collect(120.0)
            assert pictures is not None
            for camera in environment.cameras:
                np.testing.assert_array_equal(pictures[camera], environment.render(camera))
            for _ in range(8):
                environment.step(action)
    finally:
        environment.close()
