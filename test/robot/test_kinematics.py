"""Against pinocchio on Franka's URDF and MuJoCo on robosuite's Panda."""

from __future__ import annotations

import os
from pathlib import Path

import franky_sim
import mujoco
import numpy as np
import pinocchio as pin
import pytest
import robosuite

from vla_sae_ros.robot.kinematics import FrankaKinematics
from vla_sae_ros.robot.limits import FR3, PANDA

TOOL = np.array([0.01, -0.02, 0.1034])
URDF = Path(franky_sim.__file__).parent / "assets" / "fr3_clean.urdf"
XML = Path(robosuite.__file__).parent / "models" / "assets" / "robots" / "panda" / "robot.xml"


def poses(count: int) -> np.ndarray:
    lower, upper = np.maximum(PANDA.lower, FR3.lower), np.minimum(PANDA.upper, FR3.upper)
    return np.random.default_rng(0).uniform(lower, upper, (count, 7))


def test_the_parts_are_where_pinocchio_says_on_franka_s_urdf() -> None:
    model = pin.buildModelFromUrdf(os.fspath(URDF))
    data, ours = model.createData(), FrankaKinematics(TOOL)
    for q in poses(20):
        pin.forwardKinematics(model, data, q)
        pin.updateFramePlacements(model, data)
        flange = data.oMf[model.getFrameId("link8")]
        expected = [
            data.oMi[4].translation,
            data.oMi[6].translation,
            flange.translation,
            flange.act(TOOL),
        ]
        np.testing.assert_allclose(ours.points(q), expected, atol=1e-9)
        np.testing.assert_allclose(ours.flange(q), flange.homogeneous, atol=1e-9)


def test_the_joints_are_where_mujoco_says_on_robosuite_s_panda() -> None:
    model = mujoco.MjModel.from_xml_path(os.fspath(XML))
    data, ours = mujoco.MjData(model), FrankaKinematics(np.array([0.0, 0.0, -0.107]))
    joints = [model.joint(f"joint{i}").qposadr[0] for i in range(1, 8)]
    for q in poses(20):
        data.qpos[joints] = q
        mujoco.mj_kinematics(model, data)
        expected = [data.body(name).xpos for name in ("link4", "link6", "link7")]
        np.testing.assert_allclose(ours.points(q)[[0, 1, 3]], expected, atol=1e-5)


def test_many_poses_at_once_are_the_same_as_one_by_one() -> None:
    ours, many = FrankaKinematics(TOOL), poses(12).reshape(3, 4, 7)
    one_by_one = np.array([[ours.points(q) for q in row] for row in many])
    np.testing.assert_allclose(ours.points(many), one_by_one)
    np.testing.assert_array_equal(ours.tool(many), ours.points(many)[..., -1, :])


def test_published_limits_agree_with_models_of_others() -> None:
    fr3 = pin.buildModelFromUrdf(os.fspath(URDF))
    np.testing.assert_allclose(FR3.velocity, fr3.velocityLimit, atol=1e-4)
    # The URDF is of a newer FR3 with wider ranges; ours hold for both.
    assert (fr3.lowerPositionLimit <= FR3.lower).all()
    assert (fr3.upperPositionLimit >= FR3.upper).all()
    panda = mujoco.MjModel.from_xml_path(os.fspath(XML))
    # On its own the file lacks the unit of its angles: MuJoCo takes its radians for degrees.
    ranges = np.rad2deg([panda.joint(f"joint{i}").range for i in range(1, 8)])
    np.testing.assert_allclose(np.stack([PANDA.lower, PANDA.upper], 1), ranges, atol=1e-4)


def test_the_fr3_s_velocity_falls_towards_the_ends_of_its_range() -> None:
    """The formulas of libfranka's rate_limiting.h, by hand for two joints."""
    q = np.array([2.5, 1.0, 0, -1.5, 0, 2.0, 0])
    low, high = FR3.velocity_range(q)
    assert high[0] == pytest.approx(-0.30 + (12.0 * (2.75010 - 2.5)) ** 0.5)
    assert high[1] == pytest.approx(-0.20 + (5.17 * (1.79180 - 1.0)) ** 0.5)
    assert low[0] == -2.62 and high[4] == 5.26
    assert PANDA.velocity_range(q)[1][0] == 2.175
    assert FR3.velocity_range(FR3.upper)[1].max() < 0.2


def test_the_jacobian_says_where_small_motions_of_the_joints_take_the_tool() -> None:
    ours, step = FrankaKinematics(TOOL), 1e-6
    for q in poses(10):
        before, turned = ours.tool(q), ours.flange(q)[:3, :3]
        for joint, column in enumerate(ours.jacobian(q).T):
            moved = q + step * np.eye(7)[joint]
            np.testing.assert_allclose((ours.tool(moved) - before) / step, column[:3], atol=1e-5)
            spin = (ours.flange(moved)[:3, :3] - turned) / step @ turned.T
            np.testing.assert_allclose([spin[2, 1], spin[0, 2], spin[1, 0]], column[3:], atol=1e-5)
