"""Putting robot and objects somewhere at once, without physics, and looking at them."""

from __future__ import annotations

from typing import Any

import mujoco
import numpy as np
import numpy.typing as npt

from vla_sae_ros.sim.environment import FloatArray, ImageArray, ObjectPose, Observation
from vla_sae_ros.sim.libero import CAMERAS, IMAGE_SIZE, LiberoEnvironment

HIDDEN_GROUP = 5
"""A group of geoms that MuJoCo does not draw."""
MAX_ITERATIONS = 60
POSITION_TOLERANCE_M = 5e-4
ANGLE_TOLERANCE_RAD = 2e-3
DEPTH_M = 0.003
"""How far two geoms may be in each other before a staged scene is refused."""
HELD_DEPTH_M = 0.012
"""The same for fingers and what they hold: real fingers press, staged ones cut in."""


class PosedScene:
    """The scene that the environment was last reset to, with hand and objects put anywhere.

    Make a new one after each reset; what physics knew (velocities, contacts) is lost.
    """

    def __init__(self, environment: LiberoEnvironment) -> None:
        self._environment = environment
        self._on_scene: Any = environment._episode.call
        self._rest_joints = self._on_scene("read the joints", _joints)

    def put(self, observation: Observation, poses: dict[str, ObjectPose], held: str | None) -> bool:
        """Put hand, fingers and objects where they are said to be.

        Returns False, with the scene in disorder until the next call, when the arm cannot reach
        the pose or when things are inside each other.
        """
        return bool(
            self._on_scene("stage", lambda scene: self._put(scene._env, observation, poses, held))
        )

    def render(self, camera: str) -> ImageArray:
        """Return the same picture as the environment's own, faster: see `_hidden`."""
        return self._on_scene(f"render {camera}", lambda scene: _render(scene, CAMERAS[camera]))

    def pixels(self, camera: str, points: FloatArray) -> FloatArray:
        """Return where points (N, 3) in the world appear: (N, 2) column and row in pixels.

        Points behind the camera come back as nan.
        """
        return self._on_scene(
            "project", lambda scene: _pixels(scene._env.sim, CAMERAS[camera], points)
        )

    def _put(
        self, env: Any, observation: Observation, poses: dict[str, ObjectPose], held: str | None
    ) -> bool:
        sim, arm = env.sim, env.robots[0]
        for name, pose in poses.items():
            joint = env.objects_dict[name].joints[-1]
            upright = np.roll(pose.quaternion, 1)
            sim.data.set_joint_qpos(joint, np.concatenate([pose.position, upright]))
        sim.data.qpos[arm._ref_joint_pos_indexes] = self._rest_joints
        sim.data.qpos[arm._ref_gripper_joint_pos_indexes] = observation.gripper_qpos
        sim.data.qvel[:] = 0.0
        if not _reach(env, observation.ee_position, observation.ee_quaternion, self._rest_joints):
            return False
        sim.forward()
        return not _is_inside(env, held)


def _joints(scene: Any) -> FloatArray:
    return np.array(scene._env.sim.data.qpos[scene._env.robots[0]._ref_joint_pos_indexes])


def _reach(env: Any, position: FloatArray, quaternion: FloatArray, rest: FloatArray) -> bool:
    """Turn the arm's joints until the hand is there; of all ways, the one nearest to `rest`.

    Damped least squares with the rest pose in the null space, as the controller has it.
    """
    model, data, arm = env.sim.model._model, env.sim.data._data, env.robots[0]
    joints, dofs = arm._ref_joint_pos_indexes, arm._ref_joint_vel_indexes
    hand = env.sim.model.body_name2id(arm.robot_model.eef_name)
    wanted, error = np.roll(quaternion, 1), np.zeros(6)
    jacobian, away = np.zeros((6, model.nv)), np.zeros(4)
    for _ in range(MAX_ITERATIONS):
        mujoco.mj_kinematics(model, data)
        mujoco.mj_comPos(model, data)
        error[:3] = position - data.site_xpos[arm.eef_site_id]
        conjugate = data.xquat[hand] * np.array([1.0, -1.0, -1.0, -1.0])
        mujoco.mju_mulQuat(away, wanted, conjugate)
        mujoco.mju_quat2Vel(error[3:], away, 1.0)
        mujoco.mj_jacSite(model, data, jacobian[:3], jacobian[3:], arm.eef_site_id)
        local = jacobian[:, dofs]
        inverse = local.T @ np.linalg.inv(local @ local.T + 1e-5 * np.eye(6))
        home = 0.2 * (rest - data.qpos[joints])
        home -= inverse @ (local @ home)
        near = (
            np.linalg.norm(error[:3]) < POSITION_TOLERANCE_M
            and np.linalg.norm(error[3:]) < ANGLE_TOLERANCE_RAD
        )
        if near and np.abs(home).max() < 5e-3:
            return True
        data.qpos[joints] += np.clip(inverse @ error + home, -0.3, 0.3)
    return bool(near)


def _is_inside(env: Any, held: str | None) -> bool:
    """Return whether the robot or what it holds is in something, or in itself."""
    model, data = env.sim.model._model, env.sim.data._data
    held_body = env.obj_body_id[held] if held else -1
    objects = set(env.obj_body_id.values())
    for contact in data.contact[: data.ncon]:
        bodies = {int(model.body_rootid[model.geom_bodyid[geom]]) for geom in contact.geom}
        gripped = held_body in bodies
        things = bodies & objects
        if len(bodies) < 2 or not things or (things != bodies and 0 in bodies):
            continue  # the arm with itself or its mount, and what lies on the floor
        robot = bool(bodies - objects)
        if contact.dist < -(HELD_DEPTH_M if gripped and robot else DEPTH_M):
            return True
    return False


def _render(scene: Any, camera: str) -> ImageArray:
    sim = scene._env.sim
    model, data = sim.model._model, sim.data._data
    hidden = _hidden(model, data, sim.model.camera_name2id(camera))
    groups = model.geom_group[hidden].copy()
    model.geom_group[hidden] = HIDDEN_GROUP
    try:
        return scene.render(camera)
    finally:
        model.geom_group[hidden] = groups


def _hidden(model: Any, data: Any, camera: int) -> npt.NDArray[np.intp]:
    """Return the geoms whose bounding sphere is outside the picture; the renderer draws them all.

    Exact, since libero_object's scenes have no shadows and nothing that mirrors.
    """
    across, up, back = data.cam_xmat[camera].reshape(3, 3).T
    away = data.geom_xpos - data.cam_xpos[camera]
    ahead = -away @ back
    half = np.deg2rad(model.cam_fovy[camera]) / 2
    outside = ahead < -model.geom_rbound
    for axis in (across, up):
        outside |= np.abs(away @ axis) * np.cos(half) - ahead * np.sin(half) > model.geom_rbound
    return np.flatnonzero(outside & (model.geom_rbound > 0))


def _pixels(sim: Any, camera: str, points: FloatArray) -> FloatArray:
    index = sim.model.camera_name2id(camera)
    frame = sim.data.cam_xmat[index].reshape(3, 3)
    local = (points - sim.data.cam_xpos[index]) @ frame
    focal = 0.5 * IMAGE_SIZE / np.tan(np.deg2rad(sim.model.cam_fovy[index]) / 2)
    depth = np.where(local[:, 2] < -1e-3, -local[:, 2], np.nan)
    # LIBERO's pictures are mirrored: turned by 180 degrees from upside down.
    column = IMAGE_SIZE / 2 - focal * local[:, 0] / depth - 0.5
    row = IMAGE_SIZE / 2 - focal * local[:, 1] / depth - 0.5
    return np.stack([column, row], axis=1)
