"""Staging a scene, and stills made of it; one environment for all, because making it is slow."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.sim.environment import Layout, ObjectPose, Observation
from vla_sae_ros.sim.expert import DOWN, PrivilegedState, expert_action
from vla_sae_ros.sim.libero import LiberoEnvironment
from vla_sae_ros.sim.rehearsal import Grip, Rehearsal
from vla_sae_ros.sim.staging import PosedScene
from vla_sae_ros.sim.suites import find_task
from vla_sae_ros.study.demonstrations import stills
from vla_sae_ros.study.demonstrations.scripted import SceneTargets
from vla_sae_ros.study.demonstrations.still_files import read_stills, read_stills_index
from vla_sae_ros.study.policy_training.training_set import KINDS, load_training_set

TASK = find_task("libero_object", 0)
SCENE = SceneTargets(0, ("alphabet_soup_1", "butter_1"))


@pytest.fixture(scope="module")
def environment() -> Iterator[LiberoEnvironment]:
    environment = LiberoEnvironment()
    yield environment
    environment.close()


@pytest.fixture()
def begun(environment) -> tuple[PosedScene, Observation, dict[str, ObjectPose]]:
    observation = environment.reset(TASK, 3, 5, Layout(0.04))
    return PosedScene(environment), observation, environment.object_poses()


def hand_at(*position: float, width: float = 0.078) -> Observation:
    return Observation(
        np.full(7, np.nan), np.array(position), DOWN.as_quat(), np.array([width / 2, -width / 2])
    )


def test_hand_and_objects_are_where_they_were_put(environment, begun) -> None:
    posed, _, poses = begun
    moved = poses | {
        "butter_1": ObjectPose(np.array([-0.2, 0.0, 0.009]), poses["butter_1"].quaternion)
    }
    wanted = hand_at(0.05, -0.1, 0.28)
    assert posed.put(wanted, moved, None)
    for name, pose in environment.object_poses().items():
        np.testing.assert_allclose(pose.position, moved[name].position, atol=1e-6)
    now = environment._episode.call("look", lambda scene: scene._observe())
    np.testing.assert_allclose(now.ee_position, wanted.ee_position, atol=1e-3)
    np.testing.assert_allclose(now.ee_quaternion, wanted.ee_quaternion, atol=3e-3)


def test_what_is_left_out_of_a_picture_would_not_be_in_it(environment, begun) -> None:
    posed, _, poses = begun
    for place in ((-0.15, 0.0, 0.26), (0.05, -0.2, 0.2), (0.0, 0.2, 0.3)):
        posed.put(hand_at(*place), poses, None)
        for camera in environment.cameras:
            np.testing.assert_array_equal(posed.render(camera), environment.render(camera))


def test_an_object_is_seen_at_the_pixel_that_is_computed_for_it(environment, begun) -> None:
    posed, _, poses = begun
    away = poses | {"milk_1": ObjectPose(np.array([5.0, 5.0, 0.07]), poses["milk_1"].quaternion)}
    hand = hand_at(-0.15, 0.1, 0.28)
    posed.put(hand, poses, None)
    place = posed.pixels("agentview", np.array([poses["milk_1"].position]))[0]
    full = posed.render("agentview").astype(int)
    posed.put(hand, away, None)
    changed = np.abs(full - posed.render("agentview")).sum(-1) > 30
    rows, columns = np.nonzero(changed)
    np.testing.assert_allclose([columns.mean(), rows.mean()], place, atol=6)


def test_a_hand_inside_an_object_is_no_scene(begun) -> None:
    posed, _, poses = begun
    x, y, _ = poses["milk_1"].position
    assert not posed.put(hand_at(x, y, 0.08, width=0.002), poses, None)
    assert not posed.put(hand_at(3.0, 0.0, 0.3), poses, None)


def test_the_mind_and_physics_agree_over_a_chunk(environment, begun) -> None:
    _, observation, poses = begun
    hand = Rehearsal(observation, poses, "butter_1", Grip(0.04))
    for _ in range(10):
        state = PrivilegedState(observation, environment.object_poses(), frozenset())
        np.testing.assert_allclose(
            expert_action(hand.state, "butter_1"), expert_action(state, "butter_1"), atol=0.25
        )
        action = expert_action(state, "butter_1")
        hand.step(action)
        observation = environment.step(action).observation
    np.testing.assert_allclose(
        hand.state.observation.ee_position, observation.ee_position, atol=0.012
    )


@pytest.fixture(scope="module")
def folder(environment, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("stills")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stills, "BLOCK", 2)
        patch.setattr(stills, "LiberoEnvironment", lambda: _Open(environment))
        assert stills.make_stills(folder, SCENE, blocks=1, first_seed=7) == 2
        assert stills.make_stills(folder, SCENE, blocks=1, first_seed=7) == 0
    return folder


class _Open:
    """The shared environment, which is not to be closed."""

    def __init__(self, environment: LiberoEnvironment) -> None:
        self._environment = environment

    def __getattr__(self, name: str) -> object:
        return getattr(self._environment, name)

    def close(self) -> None:
        """Leave it open."""


def test_stills_come_back_with_a_chunk_for_every_instruction(folder: Path) -> None:
    (info,) = read_stills_index(folder)
    assert info.init_state < 40 and info.targets == SCENE.targets
    block = read_stills(folder, info)
    assert block.pictures.shape == (2, 2, 128, 128, 3)
    assert block.chunks.shape == (2, 2, 10, 7) and np.abs(block.chunks).max() <= 1
    assert block.landmarks.shape == (2, len(info.objects), 3)
    assert not np.array_equal(block.landmarks[0], block.landmarks[1])


def test_a_training_set_has_a_frame_per_instruction_and_knows_what_lies_where(
    folder: Path,
) -> None:
    (info,) = read_stills_index(folder)
    block, data = read_stills(folder, info), load_training_set([folder], 10)
    assert len(data.pictures) == 2 and len(data) == 4 - block.held.sum()
    assert data.instructions == tuple(sorted(info.instructions))
    first = [int((data.picture == still).nonzero()[0]) for still in range(2)]
    said = [data.instructions[data.instruction[row]] for row in first]
    assert said == [info.instructions[number] for number in block.chosen]
    butter = data.marks[:, :, KINDS.index("butter")].numpy()
    np.testing.assert_allclose(
        np.nan_to_num(butter, nan=-1.0),
        np.nan_to_num(block.pixels[:, :, info.objects.index("butter_1")], nan=-1.0),
    )
    assert (data.marks[:, :, KINDS.index("ketchup")] < 0).all()


def test_seeds_of_training_and_evaluation_are_kept_apart(tmp_path: Path) -> None:
    for seed, held_out in ((1_000_000, False), (7, True)):
        with pytest.raises(ConfigurationError, match="held out"):
            stills.make_stills(tmp_path, SCENE, 1, seed, held_out)
