"""Where and how a parallel gripper holds an object from above: from boxes and poses alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from vla_sae_ros.sim.boxes import Box, Placed, placed
from vla_sae_ros.sim.clearance import overlap
from vla_sae_ros.sim.environment import FloatArray, ObjectPose

FINGER_DEPTH_M = 0.028
"""How far below an object's top the finger tips reach before the palm touches it."""
WIDEST_GRASP_M = 0.062
"""Of the fingers' 8 cm opening; the rest is room to be off-centre."""
ROUND_TURNS = np.linspace(-np.pi / 2, np.pi / 2, 12, endpoint=False)
"""rad, ways of closing on a can."""
SHIFTS_M = (0.0, -0.01, 0.01, -0.02, 0.02)
"""Off the middle of a long side, to make room for the palm."""
LEAST_HELD_M = 0.02
"""What has to remain of a side beyond the grasp point."""

NEUTRAL_PULL = 0.3
"""How much a hand that ends turned counts against a longer way, so that ties are broken alike."""
RAD_PER_OVERLAP_M = 300.0
"""What a collision costs: a centimetre more than any turn."""
RAD_PER_SHIFT_M = 10.0


@dataclass(frozen=True)
class Grasp:
    """Where the finger tips go and how the hand is turned."""

    point: FloatArray
    """(3,) m, world frame."""
    yaw: float
    """rad, of the hand about the vertical; 0 closes along the world's y axis."""
    hang_m: float
    """How far the object reaches below the grasp point."""


def grasp_of(
    box: Box, pose: ObjectPose, hand_yaw: float, neighbours: Sequence[Placed] = ()
) -> Grasp:
    """Return the grasp from above with the shortest turn from hand_yaw (rad) that has room.

    The fingers close on two upright faces that fit between them, and where none fits on the
    narrowest; a neighbour in the hand's way costs more than a turn or being off the middle. The
    height is that of the box's centre, or more where the palm would touch the top.
    """
    thing = placed(box, pose)
    height = max(thing.centre[2], thing.top - FINGER_DEPTH_M)

    def cost(option: tuple[FloatArray, float, float]) -> float:
        point, yaw, shift = option
        turn = abs(wrapped(yaw - hand_yaw)) + NEUTRAL_PULL * abs(yaw)
        crash = overlap(point, yaw, neighbours) if neighbours else 0.0
        return turn + RAD_PER_SHIFT_M * abs(shift) + RAD_PER_OVERLAP_M * crash

    point, yaw, _ = min(_options(box, thing, height), key=cost)
    return Grasp(point, yaw, float(height - thing.bottom))


def _options(
    box: Box, thing: Placed, height: float
) -> Iterator[tuple[FloatArray, float, float]]:
    """Yield points, yaws and how far off the middle they are."""
    (first, first_half), (second, second_half) = thing.sides
    faces = [(first, first_half, second, second_half), (second, second_half, first, first_half)]
    fitting = [face for face in faces if 2.0 * face[1] <= WIDEST_GRASP_M]
    for closing, _, along, length in fitting or [min(faces, key=lambda face: face[1])]:
        shifts = [shift for shift in SHIFTS_M if abs(shift) <= max(length - LEAST_HELD_M, 0.0)]
        for shift in shifts:
            way = shift * np.array([np.cos(along), np.sin(along), 0.0])
            point = np.array([thing.centre[0], thing.centre[1], height]) + way
            for turn in ROUND_TURNS if box.is_round else (0.0,):
                for half in (0.0, np.pi):
                    # The hand's closing axis is at a right angle to its yaw.
                    yield point, wrapped(closing + np.pi / 2.0 + turn + half), shift


def wrapped(angle: float) -> float:
    """Return the angle in (-pi, pi]."""
    return float(np.pi - (np.pi - angle) % (2.0 * np.pi))
