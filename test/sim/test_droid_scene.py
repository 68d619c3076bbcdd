"""The scene of droid-sim, against the robot's own kinematics and by what can be seen."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from vla_sae_ros.core.errors import SimulationError
from vla_sae_ros.robot.droid import RESET_POSE
from vla_sae_ros.robot.kinematics import FrankaKinematics
from vla_sae_ros.sim.droid_scene import CAMERAS, merged
from vla_sae_ros.sim.droid_world import DroidWorld

GRIP = np.array([0.0, 0.0, 0.145])
"""[m] robosuite's grip site in the flange's frame."""
TICK = 1 / 15


@pytest.fixture(scope="module")
def shared() -> Iterator[DroidWorld]:
    world = DroidWorld(64, 36, RESET_POSE)
    yield world
    world.close()


def test_the_objects_stand_on_the_table(shared):
    before = shared.positions()
    for _ in range(5):
        shared.advance(TICK, RESET_POSE, 0.0)
    for name, place in shared.positions().items():
        assert 0.01 < place[2] < 0.11, name
        assert np.linalg.norm(place - before[name]) < 2e-3, name


def test_the_hand_is_where_the_robots_kinematics_say(shared):
    q = RESET_POSE + np.array([0.3, 0.1, -0.2, 0.2, 0.1, -0.1, 0.4])
    shared.advance(TICK, q, 0.0)
    # robosuite's Panda has its hand at 0.1065 m, Franka's own data say 0.107 m.
    assert np.allclose(shared.tool(), FrankaKinematics(GRIP).tool(q), atol=1e-3)
    shared.advance(TICK, RESET_POSE, 0.0)


def test_every_camera_sees_something_of_its_own_and_the_wrist_moves_with_the_arm(shared):
    shared.advance(TICK, RESET_POSE, 0.0)
    pictures = {camera: shared.picture(camera) for camera in CAMERAS}
    for picture in pictures.values():
        assert (picture.shape, picture.dtype) == ((36, 64, 3), np.uint8)
        assert picture.std() > 15
    shared.advance(TICK, RESET_POSE + np.array([0.6, 0, 0, 0, 0, 0, 0]), 0.0)
    assert np.abs(shared.picture(CAMERAS[2]).astype(int) - pictures[CAMERAS[2]]).mean() > 5
    shared.advance(TICK, RESET_POSE, 0.0)


def test_a_closed_gripper_looks_closed_to_the_wrist_camera(shared):
    for _ in range(8):
        shared.advance(TICK, RESET_POSE, 0.0)
    is_open = shared.picture(CAMERAS[2])
    for _ in range(8):
        shared.advance(TICK, RESET_POSE, 1.0)
    assert np.abs(shared.picture(CAMERAS[2]).astype(int) - is_open).mean() > 3


def test_a_hand_that_sweeps_through_the_can_takes_it_along():
    world = DroidWorld(32, 18, RESET_POSE)
    kinematics, can = FrankaKinematics(GRIP), world.positions()["can"]
    q = _reach(kinematics, can + np.array([0.0, 0.08, 0.03]), RESET_POSE)
    for share in np.linspace(0.05, 1, 20):
        world.advance(TICK, RESET_POSE + share * (q - RESET_POSE), 1.0)
    for turn in np.linspace(0.0, -0.35, 15):
        world.advance(TICK, q + np.array([turn, 0, 0, 0, 0, 0, 0]), 1.0)
    moved = world.positions()
    world.close()
    assert np.linalg.norm(moved["can"] - can) > 0.03
    assert moved["can"][1] < can[1]
    assert all(np.isfinite(place).all() for place in moved.values())


def test_joints_that_are_none_and_unknown_cameras_are_refused(shared):
    with pytest.raises(SimulationError, match="7 finite"):
        shared.advance(TICK, np.full(7, np.nan), 0.0)
    with pytest.raises(SimulationError, match="wrist_image_left"):
        shared.picture("nowhere")


def test_merging_keeps_the_shape_and_drops_the_triangles():
    """A sphere of many small triangles."""
    rows, columns = np.mgrid[0:60, 0:120]
    polar, around = (rows.ravel() + 0.5) * np.pi / 60, columns.ravel() * 2 * np.pi / 120
    vertices = 0.1 * np.stack(
        [np.sin(polar) * np.cos(around), np.sin(polar) * np.sin(around), np.cos(polar)], 1
    )
    corner = (rows[:-1] * 120 + columns[:-1]).ravel()
    right = (rows[:-1] * 120 + (columns[:-1] + 1) % 120).ravel()
    faces = np.concatenate(
        [
            np.stack([corner, corner + 120, right], 1),
            np.stack([right, corner + 120, right + 120], 1),
        ]
    )
    kept, fewer = merged(vertices, faces, 0.02)
    assert len(fewer) < len(faces) / 8
    assert np.abs(np.linalg.norm(kept, axis=1) - 0.1).max() < 0.01
    assert fewer.max() < len(kept)


def _reach(kinematics: FrankaKinematics, target: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Move the tool point to (3,) m by damped least squares."""
    q = q.copy()
    for _ in range(100):
        columns = [
            (kinematics.tool(q + step) - kinematics.tool(q)) / 1e-5 for step in 1e-5 * np.eye(7)
        ]
        jacobian = np.stack(columns, 1)
        error = target - kinematics.tool(q)
        q = q + 0.3 * jacobian.T @ np.linalg.solve(jacobian @ jacobian.T + 1e-4 * np.eye(3), error)
    return q
