"""A scripted teacher for libero_object and libero_spatial: what to do next, from the state alone.

There is no phase counter: the same state always gets the same answer, so the expert can
label any state, also one that a policy or noise led to.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.sim.boxes import BOXES, Placed, kind_of, placed, placed_object
from vla_sae_ros.sim.environment import FloatArray, ObjectPose, Observation, TaskSpec
from vla_sae_ros.sim.grasps import Grasp, grasp_of, wrapped
from vla_sae_ros.sim.suites import target_and_goal

STEP_M = 0.05
"""Hand displacement that an OSC_POSE action of 1 asks for, metres per control step."""
STEP_RAD = 0.5
"""Hand rotation that an OSC_POSE action of 1 asks for, radians per control step."""
MOST_TURN = 0.4
"""Largest rotation action, of 1."""
DOWN = Rotation.from_quat([1.0, 0.0, 0.0, 0.0])
"""Of a hand that points down and closes along the world's y axis."""
OPEN, CLOSE = -1.0, 1.0
OPEN_WIDTH_M = 0.07
"""Finger distance above which the gripper counts as open."""

TRAVEL_M = 0.17
"""Height over floor or table at which the hand travels sideways: above the tallest object."""
LEAST_TRAVEL_M = 0.05
"""And at least this far over the grasp point."""
CONE = 3.0
"""Height over the grasp point per distance aside: the hand comes down in a cone."""
AT_GRASP_M = 0.012
"""How near the finger tips must be to the grasp point before they close."""
YAW_AS_DISTANCE_M = 0.06
"""Distance aside that a radian of wrong yaw counts as."""

OVER_RIM_M = 0.03
"""Between what is in the way and the lower end of a carried object."""


@dataclass(frozen=True)
class Receptacle:
    """How to put something there; heights over the place's origin, metres."""

    rim: float
    """Height over which an object is carried there."""
    lift_first: float
    """Height of its lower end from which it is carried sideways."""
    drop: float
    """Height of its lower end when it is let go."""
    lowest_hand: float
    """The hand lets go above this: the fingers stay out."""
    radius: float
    """How close to the centre it is let go."""
    cone: float
    """Height over the drop per distance aside, up to the rim."""
    inside: float
    below: float
    """An object this near to the centre in x and y, its origin below this height, is there."""


RECEPTACLES = {
    "basket": Receptacle(
        rim=0.146,
        lift_first=0.06,
        drop=0.08,
        lowest_hand=0.175,
        radius=0.035,
        cone=100.0,
        inside=0.07,
        below=0.10,
    ),
    "plate": Receptacle(
        rim=0.09,
        lift_first=0.02,
        drop=0.0,
        lowest_hand=0.0,
        radius=0.015,
        cone=1.0,
        inside=0.02,
        below=0.02,
    ),
}
"""Where the expert can put things, by name without the number."""


@dataclass(frozen=True)
class PrivilegedState:
    """What the expert may look at: the robot, and every object's true pose."""

    observation: Observation
    poses: dict[str, ObjectPose]
    grasped: frozenset[str]
    """Objects that touch both fingers."""


MEASURED_SUITES = ("libero_object", "libero_spatial")
"""And LIBERO-PRO's variants of them, where it knows the objects."""
REFUSED = {
    ("libero_spatial", 4): "The drawer's walls leave no room for the open fingers.",
    ("libero_spatial", 9): "The cabinet's top is at the end of its reach: 4 of 10 were solved.",
}
"""Tasks whose object and place the expert knows, and which it cannot do all the same."""


def refusal(task: TaskSpec) -> str | None:
    """Return why the expert cannot do a task, None where it can."""
    target, goal = target_and_goal(task)
    if not task.suite.startswith(MEASURED_SUITES):
        return "It was never measured on this suite."
    if kind_of(target) not in BOXES:
        return "It has no grasp for the object."
    if kind_of(goal) not in RECEPTACLES:
        return "It cannot put things there."
    return REFUSED.get((task.suite, task.task_index))


def check_task(task: TaskSpec) -> None:
    """Raise ConfigurationError when the expert cannot do a task, with the reason."""
    reason = refusal(task)
    if reason is not None:
        raise ConfigurationError(
            complaint(
                "The scripted expert cannot do this task",
                f"{task.suite} {task.task_index}: {task.instruction}",
                f"bringing {', '.join(BOXES)} to a {' or '.join(RECEPTACLES)}",
                reason,
            )
        )


def expert_action(state: PrivilegedState, target: str, goal: str = "basket_1") -> FloatArray:
    """Return the action (7,) in [-1, 1] that brings the target nearer to the goal.

    goal is an object of the scene, a basket or a plate. Raises ConfigurationError for an object
    that has no known grasp or is not in the scene.
    """
    box = BOXES.get(kind_of(target))
    if box is None or target not in state.poses:
        raise ConfigurationError(
            complaint(
                "The scripted expert cannot bring this object",
                target,
                f"an object of the scene out of {', '.join(BOXES)}",
            )
        )
    thing, floor = state.poses[target], state.poses[goal].position
    receptacle = RECEPTACLES[kind_of(goal)]
    if _is_there(thing.position, floor, receptacle):
        return _towards(state, state.observation.ee_position + _up(0.05), OPEN)
    neighbours = [placed_object(name, pose) for name, pose in state.poses.items() if name != target]
    if target in state.grasped:
        held = placed(box, thing)
        over = max((near.top for near in neighbours if _are_close(held, near)), default=floor[2])
        return _carry(state, thing.position, held.bottom, floor, receptacle, over - floor[2])
    grasp = grasp_of(box, thing, _yaw(state.observation), neighbours)
    return _fetch(state, grasp, float(floor[2]))


def _fetch(state: PrivilegedState, grasp: Grasp, floor: float) -> FloatArray:
    away = state.observation.ee_position - grasp.point
    turn = abs(float(wrapped(np.asarray(grasp.yaw - _yaw(state.observation)))))
    aside = max(float(np.linalg.norm(away[:2])), YAW_AS_DISTANCE_M * turn)
    width = _width(state.observation)
    if aside < AT_GRASP_M and abs(away[2]) < AT_GRASP_M and width > grasp.least_width_m:
        return _towards(state, grasp.point, CLOSE, grasp.yaw)
    travel = max(floor + TRAVEL_M - grasp.point[2], LEAST_TRAVEL_M)
    # The further aside, the higher; up it goes, too, with fingers that closed on nothing.
    height = travel if width < OPEN_WIDTH_M else np.clip((aside - 0.008) * CONE, 0.0, travel)
    return _towards(state, grasp.point + _up(float(height)), OPEN, grasp.yaw)


def _carry(
    state: PrivilegedState,
    thing: FloatArray,
    bottom: float,
    goal: FloatArray,
    receptacle: Receptacle,
    over: float,
) -> FloatArray:
    hand = state.observation.ee_position
    hang, low = hand[2] - bottom, bottom - goal[2]
    over_goal = hand[:2] + goal[:2] - thing[:2]
    aside = float(np.linalg.norm(thing[:2] - goal[:2]))
    if aside < receptacle.radius:
        drop = goal[2] + max(receptacle.drop + hang, receptacle.lowest_hand)
        gripper = OPEN if hand[2] < drop + 0.03 else CLOSE
        return _towards(state, np.array([*over_goal, drop]), gripper)
    # Sideways only as far as it is lifted: neither rim nor neighbours are knocked over.
    lifted = np.clip(
        (low - receptacle.lift_first) / (receptacle.rim - receptacle.lift_first), 0.0, 1.0
    )
    beside = hand[:2] + lifted * (over_goal - hand[:2])
    height = min(
        receptacle.rim + OVER_RIM_M, receptacle.drop + receptacle.cone * (aside - receptacle.radius)
    )
    # From a cabinet's top, not down before it is past the edge.
    height = max(height, over + OVER_RIM_M)
    return _towards(state, np.array([*beside, goal[2] + height + hang]), CLOSE)


def _are_close(one: Placed, other: Placed) -> bool:
    aside = float(np.linalg.norm(one.centre[:2] - other.centre[:2]))
    return aside < one.radius + other.radius


def _is_there(thing: FloatArray, goal: FloatArray, receptacle: Receptacle) -> bool:
    aside = np.abs(thing[:2] - goal[:2])
    return bool(aside.max() < receptacle.inside and thing[2] < goal[2] + receptacle.below)


def _towards(
    state: PrivilegedState, point: FloatArray, gripper: float, yaw: float | None = None
) -> FloatArray:
    """Return the action towards the point, the hand upright; without a yaw it keeps its own."""
    observation = state.observation
    move = np.clip((point - observation.ee_position) / STEP_M * 1.5, -1.0, 1.0)
    upright = Rotation.from_rotvec([0.0, 0.0, _yaw(observation) if yaw is None else yaw]) * DOWN
    error = (upright * Rotation.from_quat(observation.ee_quaternion).inv()).as_rotvec()
    turn = np.clip(error / STEP_RAD, -MOST_TURN, MOST_TURN)
    return np.array([*move, *turn, gripper])


def hand_yaw(quaternion: FloatArray) -> float:
    """Return a hand's turn about the vertical in rad, 0 for DOWN; `quaternion` is (4,) xyzw."""
    across = Rotation.from_quat(quaternion).apply([1.0, 0.0, 0.0])
    return float(np.arctan2(across[1], across[0]))


def _yaw(observation: Observation) -> float:
    return hand_yaw(observation.ee_quaternion)


def _width(observation: Observation) -> float:
    return float(observation.gripper_qpos[0] - observation.gripper_qpos[1])


def _up(metres: float) -> FloatArray:
    return np.array([0.0, 0.0, metres])
