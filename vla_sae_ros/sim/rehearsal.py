"""Moving hand and objects in the mind: the expert's motion without physics, in microseconds.

The hand follows OSC_POSE actions by a linear model fitted to 119 demonstrations of libero_object
(12,843 control steps; what remains is 0.7 mm and 2 mrad per step, root mean square). Nothing
touches anything, except that a target between closing fingers is held, and falls when let go.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass

import numpy as np

from vla_sae_ros.sim.environment import FloatArray, ObjectPose, Observation
from vla_sae_ros.sim.expert import GRASP_HEIGHTS_M, PrivilegedState

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
        [1.1405, -0.0532, 0.0164, -0.3015, 0.0191],
        [1.2190, -0.0372, 0.0152, -0.3723, 0.0083],
        [1.0842, -0.0574, 0.0137, -0.2891, 0.0226],
    ]
)
"""The same for the rotation (rad) that is missing for the hand to point straight down."""
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


@dataclass
class _Joint:
    """One triple of coordinates under the linear model, and what it remembers."""

    value: FloatArray
    gains: FloatArray
    moves: tuple[FloatArray, FloatArray]
    actions: tuple[FloatArray, FloatArray]

    @classmethod
    def at_rest(cls, value: FloatArray, gains: FloatArray) -> _Joint:
        zero = np.zeros(3)
        return cls(np.array(value, dtype=np.float64), gains, (zero, zero), (zero, zero))

    def follow(self, action: FloatArray) -> None:
        move = (
            self.gains[:, 0] * self.moves[0] + self.gains[:, 1] * action
            + self.gains[:, 2] * self.actions[0] + self.gains[:, 3] * self.moves[1]
            + self.gains[:, 4] * self.actions[1]
        )
        self.value = self.value + move
        self.moves = (move, self.moves[0])
        self.actions = (action, self.actions[0])


class Rehearsal:
    """Hand and objects that can be stepped; `state` is what the expert may look at."""

    def __init__(
        self, observation: Observation, poses: dict[str, ObjectPose], target: str, grip: Grip
    ) -> None:
        self._place = _Joint.at_rest(observation.ee_position, MOVE_GAINS)
        self._tilt = _Joint.at_rest(missing_turn(observation.ee_quaternion), TURN_GAINS)
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
            np.full(7, np.nan), self._place.value, pointing(self._tilt.value),
            np.array([half, -half]),
        )
        return PrivilegedState(
            observation, dict(self._poses),
            frozenset() if self._offset is None else frozenset({self._target}),
        )

    def step(self, action: FloatArray) -> None:
        """Follow one action (7,)."""
        self._place = copy(self._place)
        self._tilt = copy(self._tilt)
        self._place.follow(np.asarray(action[:3]))
        self._tilt.follow(np.asarray(action[3:6]))
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
                self._offset = self._poses[self._target].position - self._place.value
        else:
            self._closing = max(min(self._closing, 0.0) - OPENING_M[0], -OPENING_M[1])
            room = OPEN_WIDTH_M - self._width
            self._width += min(-self._closing, 0.35 * max(room, 0.0))
            if self._offset is not None and self._width > self._grip.width_m + 0.003:
                self._offset, self.dropped, self._fall = None, True, 0.0

    def _is_between_fingers(self) -> bool:
        if self._offset is not None:
            return True
        height = GRASP_HEIGHTS_M[self._target.rsplit("_", 1)[0]]
        away = self._place.value - self._poses[self._target].position
        aside = float(np.linalg.norm(away[:2]))
        return aside < REACH_M[0] and abs(away[2] - height) < REACH_M[1]

    def _move_target(self) -> None:
        pose = self._poses[self._target]
        if self._offset is not None:
            position = self._place.value + self._offset
        elif pose.position[2] > self._rest[self._target]:
            self._fall += FALL_M
            lower = max(pose.position[2] - self._fall, self._rest[self._target])
            position = np.array([*pose.position[:2], lower])
        else:
            return
        self._poses[self._target] = ObjectPose(position, pose.quaternion)


def pointing(turn: FloatArray) -> FloatArray:
    """Return the quaternion (4,) xyzw of a hand that lacks `turn` (3,) rad to point down."""
    quaternion = np.array([1.0, -turn[2] / 2, turn[1] / 2, turn[0] / 2])
    return quaternion / np.linalg.norm(quaternion)


def missing_turn(quaternion: FloatArray) -> FloatArray:
    """Return the rotation vector (3,) rad that turns the hand to pointing straight down."""
    _, y, z, w = quaternion * np.sign(quaternion[0])
    return 2.0 * np.array([w, z, -y])
