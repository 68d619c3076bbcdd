"""Box, table and the tool's step per tick, by forward kinematics."""

from __future__ import annotations

from itertools import product

import numpy as np
import numpy.typing as npt

from vla_sae_ros.robot.driver import Joints
from vla_sae_ros.robot.envelope.joint_guard import JointGuard, Motion
from vla_sae_ros.robot.kinematics import FrankaKinematics
from vla_sae_ros.robot.reasons import Limit
from vla_sae_ros.robot.settings import Place

SHARES = np.linspace(1.0, 0.0, 9)
"""Mixtures of wanted and braking velocity that are tried, the most wanted first."""
FEW = 8
"""Velocities whose whole way to rest is looked at together."""
RETURN = 0.03
"""[m] that an arm may be measured outside and still be enabled: from there it may move inwards, or
along the edge, and never further out. A stop that brakes late must not need hands."""
_ROUNDING = 1e-6
"""[m]"""


class PlaceGuard:
    """Takes of a wanted joint velocity as much as keeps the arm able to stop inside.

    Wanted and braking velocity both respect the limits per joint, so every mixture does, also one
    with a share per joint. Of each, the next pose and every pose of the braking after it must be
    inside. Braking passed that check a tick ago, so it passes again: the arm never has to stop
    outside. A real arm brakes later than it is told: what is wanted must stay inside also when it
    begins to brake `reaction` s late. Only plain braking is excused from that.

    All joints get one share first: the direction stays. At an edge the joints' own limits can bend
    the way to a target inside, so that no share of it may be taken; then some joints brake while
    the others move, and of what is allowed the nearest to the wanted velocity is taken.
    """

    def __init__(
        self, place: Place, joints: JointGuard, period: float, reaction: float = 0.0
    ) -> None:
        self._reaction = reaction
        self._place = place
        self._joints = joints
        self._period = period
        self._edge = _ROUNDING
        self._mixtures = _mixtures(place.kinematics)

    def start(self, q: Joints) -> None:
        """Begin at (N,) rad; an arm that stands outside may stay there, but go no further."""
        self._edge = float(np.clip(self.outside(q), _ROUNDING, RETURN))

    @property
    def edge(self) -> float:
        """Return how far outside the arm may be commanded [m]: as far as it was, never again."""
        return self._edge

    def moved(self, q: Joints) -> None:
        """Note that the arm was sent to (N,) rad: it may not go back out from there."""
        self._edge = min(self._edge, max(_ROUNDING, self.outside(q)))

    def outside(self, q: Joints) -> float:
        """Return how far an arm at (N,) rad is outside [m]; 0 or less: inside."""
        return float(self._place.workspace.outside(self._place.kinematics.points(q)))

    def next_velocity(self, motion: Motion, wanted: Joints) -> tuple[Joints | None, list[Limit]]:
        """Return (N,) rad/s for the next tick, and the limits that changed `wanted`.

        None: not even braking keeps the arm inside.
        """
        problems = self._problems(motion, wanted[None])[0]
        if not problems:
            return wanted, []
        braking = self._joints.braking(motion)
        v = self._first(motion, braking + SHARES[1:-1, None] * (wanted - braking))
        if v is None:
            v = self._first(motion, self._joint_by_joint(braking, wanted))
        if v is None and not self._problems(motion, braking[None], reaction=0.0)[0]:
            v = braking
        return v, problems

    def _first(self, motion: Motion, velocities: Joints) -> Joints | None:
        """Return the first of (S, N) rad/s that violates nothing.

        Where an arm would come to rest is looked at first: most of what leads outside ends there.
        """
        rest = motion.q + self._joints.to_rest(velocities).sum(axis=1) * self._period
        rest += velocities * self._reaction
        points = self._place.kinematics.points(rest)
        left = velocities[self._place.workspace.outside(points) <= self._edge]
        for few in np.array_split(left, range(FEW, len(left), FEW)):
            found = self._problems(motion, few) if len(few) else []
            for v, bad in zip(few, found, strict=True):
                if not bad:
                    return v
        return None

    def _joint_by_joint(self, braking: Joints, wanted: Joints) -> Joints:
        """Return (S, N) rad/s in which some joints brake, the nearest to `wanted` first.

        Braking alone comes last: every other one keeps more of what is wanted.
        """
        moving = self._mixtures
        missing = (1.0 - moving) @ (wanted - braking) ** 2
        return braking + moving[np.argsort(missing)] * (wanted - braking)

    def _problems(
        self, motion: Motion, velocities: Joints, reaction: float | None = None
    ) -> list[list[Limit]]:
        """Return for each of (S, N) rad/s what the tick and the braking after it would violate.

        Args:
            reaction: [s] by which the arm brakes late; the guard's own by default.
        """
        v = self._joints.to_rest(velocities)
        poses = np.empty((v.shape[0], v.shape[1] + 1, v.shape[2]))
        poses[:, 0] = motion.q
        poses[:, 1:] = motion.q + np.cumsum(v * self._period, axis=1)
        points = self._place.kinematics.points(poses)
        outside = self._place.workspace.outside(points[:, 1:]).max(axis=1) > self._edge
        late = velocities * (self._reaction if reaction is None else reaction)
        if late.any():
            poses[:, 1:] += late[:, None, :]
            reached = self._place.kinematics.points(poses[:, 1:])
            outside |= self._place.workspace.outside(reached).max(axis=1) > self._edge
        too_far = self._steps(points) > self._place.max_ee_step + _ROUNDING
        return [
            [Limit.WORKSPACE] * bool(out) + [Limit.EE_STEP] * bool(far)
            for out, far in zip(outside, too_far, strict=True)
        ]

    @staticmethod
    def _steps(points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return the longest step of the tool in (S, T, 4, 3), (S,) [m]."""
        tool = points[:, :, -1]
        return np.linalg.norm(np.diff(tool, axis=1), axis=-1).max(axis=1)


def _mixtures(kinematics: FrankaKinematics) -> Joints:
    """Return (S, 7): in every row, 1 for the joints that move and 0 for those that brake.

    A joint that moves none of the guarded points, as the last one does under a tool on its axis,
    never has to brake for them.
    """
    poses: Joints = np.vstack([np.zeros(7), np.eye(7)]) + 0.1 * np.arange(1.0, 8.0)
    points = kinematics.points(poses)
    guarded = (np.abs(points[1:] - points[0]) > _ROUNDING).any(axis=(1, 2))
    return np.array(list(product(*((0.0, 1.0) if each else (1.0,) for each in guarded))))
