"""Where and how a parallel gripper holds an object from above: from boxes and poses alone."""

from __future__ import annotations

from collections.abc import Sequence
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
NO_TURN = np.zeros(1)
RIM_ANGLES = np.linspace(-np.pi, np.pi, 24, endpoint=False)
"""rad, places on a bowl's rim; the hand closes across it."""
RIM_DEPTH_M = 0.02
RIM_INSIDE_M = 0.006
"""Where the rim's wall is, inside of the outermost."""
RIM_WIDTH_M, FACES_WIDTH_M = 0.002, 0.01
SHIFTS_M = np.array([0.0, -0.01, 0.01, -0.02, 0.02])
"""Off the middle of a long side, to make room for the palm."""
LEAST_HELD_M = 0.02
"""What has to remain of a side beyond the grasp point."""

HALF_TURN = np.array([0.0, 0.0, np.pi, 0.0])
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
    least_width_m: float
    """Finger distance below which they hold nothing."""


def grasp_of(
    box: Box, pose: ObjectPose, hand_yaw: float, neighbours: Sequence[Placed] = ()
) -> Grasp:
    """Return the grasp from above with the shortest turn from hand_yaw (rad) that has room.

    The fingers close on two upright faces that fit between them, and where none fits on the
    narrowest, or across a bowl's rim; a neighbour in the hand's way costs more than a turn or
    being off the middle. The height is that of the box's centre, or more where the palm would
    touch the top.
    """
    thing = placed(box, pose)
    depth = RIM_DEPTH_M if box.shape == "bowl" else FINGER_DEPTH_M
    height = max(thing.centre[2], thing.top - depth)
    # Each option: x and y off the middle, the direction to close in, and how bad being off is.
    options = _rim(box) if box.shape == "bowl" else _sides(box, thing)
    # Either way round; the hand's closing axis is at a right angle to its yaw.
    options = np.concatenate([options, options + HALF_TURN])
    points = np.column_stack([thing.centre[:2] + options[:, :2], np.full(len(options), height)])
    yaws = wrapped(options[:, 2] + np.pi / 2.0)
    turns = np.abs(wrapped(yaws - hand_yaw)) + NEUTRAL_PULL * np.abs(yaws)
    crash = overlap(points, yaws, neighbours)
    best = int(np.argmin(turns + RAD_PER_SHIFT_M * options[:, 3] + RAD_PER_OVERLAP_M * crash))
    least = RIM_WIDTH_M if box.shape == "bowl" else FACES_WIDTH_M
    return Grasp(points[best], float(yaws[best]), least)


def _sides(box: Box, thing: Placed) -> FloatArray:
    """Return the options (n, 4) of closing on upright faces, or on a can from many sides."""
    (first, first_half), (second, second_half) = thing.sides
    faces = [(first, first_half, second, second_half), (second, second_half, first, first_half)]
    fitting = [face for face in faces if 2.0 * face[1] <= WIDEST_GRASP_M]
    turns = ROUND_TURNS if box.shape == "can" else NO_TURN
    options = []
    for closing, _, along, length in fitting or [min(faces, key=lambda face: face[1])]:
        shifts = SHIFTS_M[np.abs(SHIFTS_M) <= max(length - LEAST_HELD_M, 0.0)]
        shift, turn = (grid.ravel() for grid in np.meshgrid(shifts, turns))
        options.append(
            np.column_stack(
                [shift * np.cos(along), shift * np.sin(along), closing + turn, np.abs(shift)]
            )
        )
    return np.concatenate(options)


def _rim(box: Box) -> FloatArray:
    """Return the options (n, 4) of closing across a bowl's rim."""
    radius = float(box.half[0]) - RIM_INSIDE_M
    return np.column_stack(
        [
            radius * np.cos(RIM_ANGLES),
            radius * np.sin(RIM_ANGLES),
            RIM_ANGLES,
            np.zeros(len(RIM_ANGLES)),
        ]
    )


def wrapped(angle: FloatArray) -> FloatArray:
    """Return the angles in (-pi, pi]."""
    return np.asarray(np.pi - (np.pi - angle) % (2.0 * np.pi))
