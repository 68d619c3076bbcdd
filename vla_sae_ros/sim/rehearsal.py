"""Moving hand and objects in the mind: the expert's motion without physics, in microseconds.

The hand follows OSC_POSE actions by a linear model fitted to 119 demonstrations of libero_object
(12,843 control steps; what remains is 0.7 mm and 2 mrad per step, root mean square; hands that
were nearly upright and not turned about the vertical). Nothing
touches anything, except that a target between closing fingers is held, and falls when let go.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from vla_sae_ros.sim.boxes import BOXES, kind_of
from vla_sae_ros.sim.environment import FloatArray, ObjectPose, Observation
from vla_sae_ros.sim.expert import PrivilegedState, hand_yaw
from vla_sae_ros.sim.grasps import grasp_of

MOVE_GAINS = np.array(
    [
        [1.1223, 0.0048, -0.0017, -0.2253, -0.0018],
        [1.0318, 0.0054, -0.0012, -0.2131, -0.0019],
        [1.1268, 0.0052, -0.0009, -0.2301, -0.0031],
    ]
)
"""Per axis, of a step's displacement (m) on: the last one, the action, the last action, the
displacement and the action before those."""
TURN_GAINS = np.array(
    [
        [1.1405, 0.0532, -0.0164, -0.3015, -0.0191],
        [1.2190, 0.0372, -0.0152, -0.3723, -0.0083],
        [1.0842, 0.0574, -0.0137, -0.2891, -0.0226],
    ]
)
"""The same for a step's rotation vector (rad) in the world frame."""
OPEN_WIDTH_M = 0.079
CLOSING_M = (0.0017, 0.009)
"""Acceleration and greatest speed of the finger distance, metres per control step."""
OPENING_M = (0.003, 0.008)
REACH_M = (0.022, 0.03)
"""How far from the grasp point, aside and in height, closing fingers still get hold."""
FALL_M = 0.0245
"""What a free fall adds to the distance fallen per control step, every step."""


@dataclass(frozen=True)
class Grip:
    """How the fingers hold one object."""

    width_m: float
    """Distance of the fingers that hold it."""


@dataclass(frozen=True)
class _LinearResponse:
    """How three coordinates move under the linear model, and what they remember."""

    gains: FloatArray
    moves: tuple[FloatArray, FloatArray] = (np.zeros(3), np.zeros(3))
    actions: tuple[FloatArray, FloatArray] = (np.zeros(3), np.zeros(3))

    def after(self, action: FloatArray) -> _LinearResponse:
        """Return the motion one action (3,) later; its last move is what the action did."""
        terms = (self.moves[0], action, self.actions[0], self.moves[1], self.actions[1])
        move = sum(self.gains[:, column] * term for column, term in enumerate(terms))
        return _LinearResponse(
            self.gains, (np.asarray(move), self.moves[0]), (action, self.actions[0])
        )


class Rehearsal:
    """Hand and objects that can be stepped; `state` is what the expert may look at."""

    def __init__(
        self, observation: Observation, poses: dict[str, ObjectPose], target: str, grip: Grip
    ) -> None:
        self._position = np.array(observation.ee_position)
        self._quaternion = np.array(observation.ee_quaternion)
        self._motion, self._turning = _LinearResponse(MOVE_GAINS), _LinearResponse(TURN_GAINS)
        self._width = float(observation.gripper_qpos[0] - observation.gripper_qpos[1])
        self._closing = 0.0
        self._poses = dict(poses)
        self._rest = {name: float(pose.position[2]) for name, pose in poses.items()}
        self._target, self._grip = target, grip
        self._offset: FloatArray | None = None
        self._fall = 0.0
        self.dropped = False

    @property
    def held(self) -> str | None:
        """The object between the fingers."""
        return None if self._offset is None else self._target

    @property
    def state(self) -> PrivilegedState:
        """Robot and objects as they are now; the arm's joints are unknown (nan)."""
        half = self._width / 2
        observation = Observation(
            np.full(7, np.nan), self._position, self._quaternion, np.array([half, -half])
        )
        return PrivilegedState(
            observation,
            dict(self._poses),
            frozenset() if self._offset is None else frozenset({self._target}),
        )

    def step(self, action: FloatArray) -> None:
        """Follow one action (7,)."""
        self._motion = self._motion.after(np.asarray(action[:3]))
        self._turning = self._turning.after(np.asarray(action[3:6]))
        self._position = self._position + self._motion.moves[0]
        turn = Rotation.from_rotvec(self._turning.moves[0])
        self._quaternion = (turn * Rotation.from_quat(self._quaternion)).as_quat()
        self._move_fingers(close=bool(action[6] > 0))
        self._move_target()

    def copy(self) -> Rehearsal:
        """Return another that starts from here."""
        other = copy(self)
        other._poses = dict(self._poses)
        return other

    def _move_fingers(self, close: bool) -> None:
        if close:
            self._closing = min(max(self._closing, 0.0) + CLOSING_M[0], CLOSING_M[1])
            least = self._grip.width_m if self._is_between_fingers() else 0.001
            self._width = max(self._width - self._closing, min(least, self._width))
            if self._offset is None and least > 0.001 and self._width < least + 5e-4:
                self._offset = self._poses[self._target].position - self._position
        else:
            self._closing = max(min(self._closing, 0.0) - OPENING_M[0], -OPENING_M[1])
            room = OPEN_WIDTH_M - self._width
            self._width += min(-self._closing, 0.35 * max(room, 0.0))
            if self._offset is not None and self._width > self._grip.width_m + 0.003:
                self._offset, self.dropped, self._fall = None, True, 0.0

    def _is_between_fingers(self) -> bool:
        if self._offset is not None:
            return True
        grasp = grasp_of(
            BOXES[kind_of(self._target)], self._poses[self._target], hand_yaw(self._quaternion)
        )
        away = self._position - grasp.point
        return bool(np.linalg.norm(away[:2]) < REACH_M[0] and abs(away[2]) < REACH_M[1])

    def _move_target(self) -> None:
        pose = self._poses[self._target]
        if self._offset is not None:
            position = self._position + self._offset
        elif pose.position[2] > self._rest[self._target]:
            self._fall += FALL_M
            lower = max(pose.position[2] - self._fall, self._rest[self._target])
            position = np.array([*pose.position[:2], lower])
        else:
            return
        self._poses[self._target] = ObjectPose(position, pose.quaternion)
