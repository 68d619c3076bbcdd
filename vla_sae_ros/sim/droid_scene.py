"""A DROID-like table-top: Panda with Robotiq 2F-85, some objects, two exterior cameras, one on the
wrist. The parts are robosuite's installed assets.

What is simulated: the arm is put where the robot says it is (it is not pushed back by what it
touches), the fingers are driven, the objects fall, roll and are pushed and can be grasped. What is
not: the arm's dynamics (those are the simulated robot's), lens distortion, noise, motion blur.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path

import mujoco
import numpy as np
import numpy.typing as npt

from vla_sae_ros.sim.quiet import prepare_simulator_imports

ARM = "arm_"
HAND = "hand_"
FINGERS = (f"{HAND}finger_1", f"{HAND}finger_2")
LINKAGE = {
    "left_inner_knuckle_joint": ("finger_joint", 1.0),
    "left_inner_finger_joint": ("finger_joint", -1.0),
    "right_inner_knuckle_joint": ("right_outer_knuckle_joint", 1.0),
    "right_inner_finger_joint": ("right_outer_knuckle_joint", -1.0),
}
"""The 2F-85's parallel bars: how each passive joint turns with its driven one."""
ROBOT_BIT, OBJECT_BIT = 1, 2
"""Who touches whom: objects everything, the robot objects only; the envelope guards the table."""
CLOSED = 0.8
"""[rad] of the fingers' actuators."""
TIME_STEP = 0.004
"""[s]; coarser than robosuite's 0.002: no torque of the arm depends on it."""
FELT = 3
"""Group of the geoms that touch things and are not seen."""
THIN = 0.012
"""[m] grid to which the vertices of what is only seen are merged in a thinned scene."""


@dataclass(frozen=True)
class CameraPose:
    """Where a camera stands and what it looks at, in the robot's base frame."""

    name: str
    """As DROID calls it; each stereo camera's left eye."""
    position: tuple[float, float, float]
    """[m]"""
    target: tuple[float, float, float]
    """[m]"""
    fovy: float
    """[deg] vertical field of view."""


EXTERIOR = (
    # DROID's exterior cameras stand on tripods at both sides of the table and look across it at the
    # workspace, every lab's a little differently; 68 degrees is a ZED 2's at 720p.
    CameraPose("exterior_image_1_left", (0.22, 0.62, 0.48), (0.46, 0.0, 0.20), 68.0),
    CameraPose("exterior_image_2_left", (0.22, -0.62, 0.48), (0.46, 0.0, 0.20), 68.0),
)
WRIST = "wrist_image_left"
WRIST_FOVY = 60.0
"""[deg] of a ZED Mini at 720p; it sits beside the gripper and looks along it at the finger tips."""
CAMERAS = (*(pose.name for pose in EXTERIOR), WRIST)

OBJECTS = {
    "can": ("can", (0.52, -0.16, 0.062)),
    "milk": ("milk", (0.62, 0.14, 0.087)),
    "cereal": ("cereal", (0.66, -0.05, 0.102)),
    "lemon": ("lemon", (0.46, 0.10, 0.05)),
}
"""Name to robosuite's object and where it is let go, [m] in the base frame."""


def build_scene(thin: bool = True) -> mujoco.MjModel:
    """Return the compiled scene; its world frame is the robot's base frame, the table at z = 0.

    Args:
        thin: merge near vertices of what is only seen: an eighth of the triangles, several times
            as fast without a GPU.
    """
    prepare_simulator_imports()
    import robosuite

    assets = Path(robosuite.__file__).parent / "models" / "assets"
    scene = _room()
    arm = _part(assets / "robots" / "panda" / "robot.xml", thin)
    scene.attach(arm, prefix=ARM, frame=scene.worldbody.add_frame())
    hand = _part(assets / "grippers" / "robotiq_gripper_85.xml", thin)
    _couple(hand)
    wrist = scene.body(f"{ARM}right_hand")
    scene.attach(hand, prefix=HAND, frame=wrist.add_frame())
    _add_cameras(scene, wrist)
    for name, (kind, position) in OBJECTS.items():
        _add_object(scene, assets / "objects" / f"{kind}.xml", name, position)
    return scene.compile()


def _room() -> mujoco.MjSpec:
    scene = mujoco.MjSpec()
    scene.option.timestep = TIME_STEP
    scene.option.cone = mujoco.mjtCone.mjCONE_ELLIPTIC
    scene.option.impratio = 20
    scene.add_texture(
        type=mujoco.mjtTexture.mjTEXTURE_SKYBOX,
        width=64,
        height=64,
        builtin=mujoco.mjtBuiltin.mjBUILTIN_GRADIENT,
        rgb1=[0.85, 0.85, 0.83],
        rgb2=[0.60, 0.60, 0.58],
    )
    scene.visual.headlight.ambient = [0.45, 0.45, 0.45]
    scene.visual.headlight.diffuse = [0.35, 0.35, 0.35]
    world = scene.worldbody
    world.add_light(pos=[0.3, 0.4, 1.8], dir=[0.1, -0.2, -1.0], diffuse=[0.5, 0.5, 0.5])
    world.add_geom(
        name="floor",
        type=mujoco.mjtGeom.mjGEOM_PLANE,
        size=[4, 4, 0.1],
        pos=[0, 0, -0.75],
        rgba=[0.45, 0.44, 0.42, 1],
        group=1,
    )
    world.add_geom(
        name="wall",
        type=mujoco.mjtGeom.mjGEOM_BOX,
        size=[0.02, 3, 1.8],
        pos=[2.2, 0, 0.8],
        rgba=[0.80, 0.79, 0.75, 1],
        group=1,
    )
    world.add_geom(
        name="table",
        type=mujoco.mjtGeom.mjGEOM_BOX,
        size=[0.55, 0.65, 0.02],
        pos=[0.40, 0, -0.02],
        rgba=[0.62, 0.50, 0.36, 1],
        group=1,
    )
    for geom in scene.geoms:
        geom.contype, geom.conaffinity = 0, OBJECT_BIT
    return scene


def _part(path: Path, thin: bool) -> mujoco.MjSpec:
    """Read one of robosuite's models: files by their full path, names once."""
    root = ElementTree.parse(path).getroot()
    for section in (*root.findall("tendon"), *root.findall("sensor")):
        root.remove(section)
    for section in root.iter("asset"):
        seen = set()
        for asset in list(section):
            key = (asset.tag, asset.get("name"))
            if key in seen:  # as robosuite does: the first one counts
                section.remove(asset)
            seen.add(key)
    for element in root.iter():
        if "file" in element.attrib:
            element.set("file", str((path.parent / element.attrib["file"]).resolve()))
    ElementTree.SubElement(root, "compiler", angle="radian")
    part = mujoco.MjSpec.from_string(ElementTree.tostring(root, encoding="unicode"))
    seen_only = {geom.meshname for geom in part.geoms if geom.meshname and not geom.contype}
    if thin:
        for mesh in part.meshes:
            if mesh.name in seen_only:
                _thin(mesh)
    for geom in part.geoms:
        if geom.contype:
            geom.contype, geom.conaffinity = ROBOT_BIT, OBJECT_BIT
            geom.group = FELT  # something else is seen in its place
    return part


def _couple(hand: mujoco.MjSpec) -> None:
    for joint in hand.joints:
        joint.armature, joint.damping = 0.002, 0.05  # the links alone are too light
    for name, (driven, ratio) in LINKAGE.items():
        hand.add_equality(
            type=mujoco.mjtEq.mjEQ_JOINT,
            name1=name,
            name2=driven,
            objtype=mujoco.mjtObj.mjOBJ_JOINT,
            solref=[0.01, 1.0],
            solimp=[0.99, 0.999, 0.001, 0.5, 2.0],
            data=[0.0, ratio, *[0.0] * (mujoco.mjNEQDATA - 2)],
        )


def _thin(mesh: mujoco.MjsMesh) -> None:
    """Replace a mesh by one whose vertices are those of a grid's cells."""
    shape = mujoco.MjSpec()
    shape.add_mesh(name="mesh", file=mesh.file, scale=mesh.scale)
    shape.worldbody.add_geom(
        type=mujoco.mjtGeom.mjGEOM_MESH, meshname="mesh", contype=0, conaffinity=0
    )  # saves its convex hull
    full = shape.compile()
    rotation = np.zeros(9)
    mujoco.mju_quat2Mat(rotation, full.mesh_quat[0])
    vertices = full.mesh_vert @ rotation.reshape(3, 3).T + full.mesh_pos[0]
    kept, faces = merged(vertices, full.mesh_face, THIN)
    mesh.file = ""
    mesh.scale = [1, 1, 1]
    mesh.uservert, mesh.userface = kept.ravel(), faces.ravel()
    mesh.inertia = mujoco.mjtMeshInertia.mjMESH_INERTIA_SHELL


def merged(
    vertices: npt.NDArray[np.floating], faces: npt.NDArray[np.integer], grid: float
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int32]]:
    """Merge the vertices (V, 3) of each cell of a grid [m] into their mean.

    Returns the vertices (v, 3) and the faces (f, 3) that still have an area; a mesh too small for
    the grid comes back whole.
    """
    _, cell, count = np.unique(
        np.round(vertices / grid).astype(np.int64), axis=0, return_inverse=True, return_counts=True
    )
    sums = np.zeros((len(count), 3))
    np.add.at(sums, cell.ravel(), vertices)
    means, corners = sums / count[:, None], cell.ravel()[faces]
    a, b, c = (means[corners[:, side]] for side in range(3))
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    corners = np.unique(corners[area > 1e-7], axis=0)
    used, renumbered = np.unique(corners, return_inverse=True)
    centred = means[used] - means[used].mean(0) if len(used) else means[used]
    if len(corners) < 8 or np.linalg.matrix_rank(centred, tol=1e-3) < 3:
        return vertices.astype(np.float64), faces.astype(np.int32)
    return means[used], renumbered.reshape(corners.shape).astype(np.int32)


def _add_cameras(scene: mujoco.MjSpec, wrist: mujoco.MjsBody) -> None:
    for pose in EXTERIOR:
        scene.worldbody.add_camera(
            name=pose.name,
            pos=pose.position,
            fovy=pose.fovy,
            quat=_looking(pose.position, pose.target),
        )
    wrist.add_camera(
        name=WRIST,
        pos=[0.075, 0.0, 0.02],
        fovy=WRIST_FOVY,
        quat=_looking((0.075, 0.0, 0.02), (0.0, 0.0, 0.20), up=(1.0, 0.0, 0.0)),
    )


def _looking(
    position: tuple[float, ...],
    target: tuple[float, ...],
    up: tuple[float, float, float] = (0.0, 0.0, 1.0),
) -> npt.NDArray[np.float64]:
    """Return the quaternion (w, x, y, z) of a camera, which looks along its own -z, y up."""
    z = np.subtract(position, target)
    z = z / np.linalg.norm(z)
    x = np.cross(up, z)
    x = x / np.linalg.norm(x)
    quaternion = np.zeros(4)
    mujoco.mju_mat2Quat(quaternion, np.stack([x, np.cross(z, x), z], axis=1).ravel())
    return quaternion


def _add_object(
    scene: mujoco.MjSpec, path: Path, name: str, position: tuple[float, float, float]
) -> None:
    part = _part(path, thin=False)
    for geom in part.geoms:
        geom.contype, geom.conaffinity = OBJECT_BIT, ROBOT_BIT | OBJECT_BIT
        geom.group = 1
    holder = scene.worldbody.add_body(name=name, pos=position)
    holder.add_freejoint(name=f"{name}_joint")
    holder.add_frame().attach_body(part.worldbody.first_body(), f"{name}_", "")
