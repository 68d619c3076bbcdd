"""A scripted teacher for libero_object: what to do next, from the current state alone.

There is no phase counter: the same state always gets the same answer, so the expert can
label any state, also one that a policy or noise led to.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.sim.environment import FloatArray, ObjectPose, Observation

STEP_M = 0.05
"""Hand displacement that an OSC_POSE action of 1 asks for, metres per control step."""
STEP_RAD = 0.5
"""Hand rotation that an OSC_POSE action of 1 asks for, radians per control step."""
OPEN, CLOSE = -1.0, 1.0
OPEN_WIDTH_M = 0.07
"""Finger distance above which the gripper counts as open."""

HOVER_M = 0.09
"""Height over the grasp point at which the hand travels sideways."""
CARRY_HEIGHT_M = 0.24
"""Height of the hand above which it may carry an object over the basket's rim."""
DROP_HEIGHT_M = 0.20
BASKET_RADIUS_M = 0.05
"""How close to the basket's centre an object is let go."""


GRASP_HEIGHTS_M = {
    "alphabet_soup": 0.005,
    "bbq_sauce": 0.02,
    "butter": 0.0,
    "cream_cheese": 0.0,
    "milk": 0.03,
    "tomato_sauce": 0.005,
}
"""Height of the finger tips relative to the object's origin, for objects that a plain grasp from
above holds; ketchup and salad dressing, for example, need the hand turned and are refused."""


@dataclass(frozen=True)
class PrivilegedState:
    """What the expert may look at: the robot, and every object's true pose."""

    observation: Observation
    poses: dict[str, ObjectPose]
    grasped: frozenset[str]
    """Objects that touch both finger pads."""


def expert_action(state: PrivilegedState, target: str, basket: str = "basket_1") -> FloatArray:
    """Return the action (7,) in [-1, 1] that brings the target nearer to the basket.

    Raises ConfigurationError for an object that has no known grasp or is not in the scene.
    """
    height = GRASP_HEIGHTS_M.get(target.rsplit("_", 1)[0])
    if height is None or target not in state.poses:
        raise ConfigurationError(
            complaint("The scripted expert cannot bring this object", target,
                      f"an object of the scene out of {', '.join(GRASP_HEIGHTS_M)}")
        )
    hand = state.observation.ee_position
    thing = state.poses[target].position
    goal = state.poses[basket].position
    if _is_in_basket(thing, goal):
        return _towards(state, hand + _up(0.05), OPEN)
    if target in state.grasped:
        return _carry(state, hand, thing, goal)
    return _fetch(state, hand, thing + _up(height))


def _fetch(state: PrivilegedState, hand: FloatArray, grasp_point: FloatArray) -> FloatArray:
    aside = float(np.linalg.norm(hand[:2] - grasp_point[:2]))
    above = float(hand[2] - grasp_point[2])
    if aside < 0.012 and abs(above) < 0.012:
        return _towards(state, grasp_point, CLOSE)
    is_open = _width(state.observation) > OPEN_WIDTH_M
    # The further aside, the higher: a cone that ends in the grasp point.
    height = HOVER_M if not is_open else np.clip((aside - 0.008) * 4.0, 0.0, HOVER_M)
    return _towards(state, grasp_point + _up(float(height)), OPEN)


def _carry(
    state: PrivilegedState, hand: FloatArray, thing: FloatArray, goal: FloatArray
) -> FloatArray:
    aside = float(np.linalg.norm(thing[:2] - goal[:2]))
    over_goal = np.array([*(hand[:2] + goal[:2] - thing[:2]), DROP_HEIGHT_M])
    if aside < BASKET_RADIUS_M:
        low_enough = hand[2] < DROP_HEIGHT_M + 0.03
        return _towards(state, over_goal, OPEN if low_enough else CLOSE)
    lifted = np.clip((hand[2] - 0.10) / (CARRY_HEIGHT_M - 0.10), 0.0, 1.0)
    waypoint = np.array([*(hand[:2] + lifted * (over_goal[:2] - hand[:2])), CARRY_HEIGHT_M + 0.02])
    return _towards(state, waypoint, CLOSE)


def _is_in_basket(thing: FloatArray, goal: FloatArray) -> bool:
    aside = np.abs(thing[:2] - goal[:2])
    return bool(aside.max() < 0.07 and thing[2] < goal[2] + 0.10)


def _towards(state: PrivilegedState, point: FloatArray, gripper: float) -> FloatArray:
    move = np.clip((point - state.observation.ee_position) / STEP_M * 1.5, -1.0, 1.0)
    turn = np.clip(_upright_error(state.observation.ee_quaternion) / STEP_RAD, -0.3, 0.3)
    return np.array([*move, *turn, gripper])


def _upright_error(quaternion: FloatArray) -> FloatArray:
    """Return the rotation vector (3,) that turns the hand back to pointing straight down."""
    _, y, z, w = quaternion * np.sign(quaternion[0])
    # Pointing down is (1, 0, 0, 0); the error quaternion down * conj(q) is (w, z, -y, x).
    return 2.0 * np.array([w, z, -y])


def _width(observation: Observation) -> float:
    return float(observation.gripper_qpos[0] - observation.gripper_qpos[1])


def _up(metres: float) -> FloatArray:
    return np.array([0.0, 0.0, metres])
