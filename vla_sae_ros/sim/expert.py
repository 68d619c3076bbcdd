"""A scripted teacher for libero_object: what to do next, from the current state alone.

There is no phase counter: the same state always gets the same answer, so the expert can
label any state, also one that a policy or noise led to.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.sim.boxes import BOXES, kind_of, placed, placed_object
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
CLOSED_WIDTH_M = 0.01
"""Finger distance below which it holds nothing: all objects are wider where they are held."""

TRAVEL_M = 0.17
"""Height over the floor at which the hand travels sideways: above the tallest object."""
CONE = 3.0
"""Height over the grasp point per distance aside: the hand comes down in a cone."""
AT_GRASP_M = 0.012
"""How near the finger tips must be to the grasp point before they close."""
YAW_AS_DISTANCE_M = 0.06
"""Distance aside that a radian of wrong yaw counts as."""

RIM_M = 0.146
"""Height of the basket's rim over its origin."""
OVER_RIM_M = 0.03
"""Between the rim and the lower end of a carried object."""
LIFT_FIRST_M = 0.06
"""Height of its lower end from which it is carried sideways."""
DROP_M = 0.08
"""Height over the basket's origin of the object's lower end when it is let go."""
LOWEST_DROP_M = 0.175
"""Height of the hand over the basket's origin when it lets go: the fingers stay out."""
BASKET_RADIUS_M = 0.035
"""How close to the basket's centre an object is let go."""


@dataclass(frozen=True)
class PrivilegedState:
    """What the expert may look at: the robot, and every object's true pose."""

    observation: Observation
    poses: dict[str, ObjectPose]
    grasped: frozenset[str]
    """Objects that touch both fingers."""


def check_task(task: TaskSpec) -> None:
    """Raise ConfigurationError when the expert cannot do a task, with the reason."""
    target, goal = target_and_goal(task)
    if kind_of(target) not in BOXES or kind_of(goal) != "basket":
        raise ConfigurationError(
            complaint("The scripted expert cannot do this task",
                      f"{task.suite} {task.task_index}: {task.instruction}",
                      f"bringing {', '.join(BOXES)} to a basket",
                      "It has no grasp for the object, or cannot put it there.")
        )


def expert_action(state: PrivilegedState, target: str, goal: str = "basket_1") -> FloatArray:
    """Return the action (7,) in [-1, 1] that brings the target nearer to the basket.

    Raises ConfigurationError for an object that has no known grasp or is not in the scene.
    """
    box = BOXES.get(kind_of(target))
    if box is None or target not in state.poses:
        raise ConfigurationError(
            complaint("The scripted expert cannot bring this object", target,
                      f"an object of the scene out of {', '.join(BOXES)}")
        )
    thing, place = state.poses[target], state.poses[goal].position
    if _is_in_basket(thing.position, place):
        return _towards(state, state.observation.ee_position + _up(0.05), OPEN)
    if target in state.grasped:
        return _carry(state, thing.position, placed(box, thing).bottom, place)
    neighbours = [
        placed_object(name, pose) for name, pose in state.poses.items() if name != target
    ]
    return _fetch(state, grasp_of(box, thing, _yaw(state.observation), neighbours))


def _fetch(state: PrivilegedState, grasp: Grasp) -> FloatArray:
    away = state.observation.ee_position - grasp.point
    turn = abs(wrapped(grasp.yaw - _yaw(state.observation)))
    aside = max(float(np.linalg.norm(away[:2])), YAW_AS_DISTANCE_M * turn)
    width = _width(state.observation)
    if aside < AT_GRASP_M and abs(away[2]) < AT_GRASP_M and width > CLOSED_WIDTH_M:
        return _towards(state, grasp.point, CLOSE, grasp.yaw)
    travel = max(TRAVEL_M - grasp.point[2], 0.05)
    # The further aside, the higher; up it goes, too, with fingers that closed on nothing.
    height = travel if width < OPEN_WIDTH_M else np.clip((aside - 0.008) * CONE, 0.0, travel)
    return _towards(state, grasp.point + _up(float(height)), OPEN, grasp.yaw)


def _carry(
    state: PrivilegedState, thing: FloatArray, bottom: float, goal: FloatArray
) -> FloatArray:
    hand = state.observation.ee_position
    hang = hand[2] - bottom
    over_goal = hand[:2] + goal[:2] - thing[:2]
    if float(np.linalg.norm(thing[:2] - goal[:2])) < BASKET_RADIUS_M:
        drop = goal[2] + max(DROP_M + hang, LOWEST_DROP_M)
        gripper = OPEN if hand[2] < drop + 0.03 else CLOSE
        return _towards(state, np.array([*over_goal, drop]), gripper)
    # Sideways only as far as it is lifted: neither rim nor neighbours are knocked over.
    lifted = np.clip((bottom - goal[2] - LIFT_FIRST_M) / (RIM_M - LIFT_FIRST_M), 0.0, 1.0)
    beside = hand[:2] + lifted * (over_goal - hand[:2])
    return _towards(state, np.array([*beside, goal[2] + RIM_M + OVER_RIM_M + hang]), CLOSE)


def _is_in_basket(thing: FloatArray, goal: FloatArray) -> bool:
    aside = np.abs(thing[:2] - goal[:2])
    return bool(aside.max() < 0.07 and thing[2] < goal[2] + 0.10)


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


def _yaw(observation: Observation) -> float:
    """Return the hand's turn about the vertical in rad, 0 for DOWN."""
    across = Rotation.from_quat(observation.ee_quaternion).apply([1.0, 0.0, 0.0])
    return float(np.arctan2(across[1], across[0]))


def _width(observation: Observation) -> float:
    return float(observation.gripper_qpos[0] - observation.gripper_qpos[1])


def _up(metres: float) -> FloatArray:
    return np.array([0.0, 0.0, metres])
