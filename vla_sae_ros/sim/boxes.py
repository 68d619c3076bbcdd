"""How large the things of LIBERO's scenes are: the boxes round their collision shapes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.spatial.transform import Rotation

from vla_sae_ros.sim.environment import FloatArray, ObjectPose


@dataclass(frozen=True)
class Box:
    """The box round an object in its own frame, metres."""

    low: tuple[float, float, float]
    high: tuple[float, float, float]
    shape: Literal["faces", "can", "bowl"] = "faces"
    """What the hand closes on: two faces, a can from any side, or a bowl's rim."""

    @property
    def centre(self) -> FloatArray:
        return (np.array(self.low) + np.array(self.high)) / 2.0

    @property
    def half(self) -> FloatArray:
        return (np.array(self.high) - np.array(self.low)) / 2.0


BOXES = {
    "akita_black_bowl": Box((-0.054, -0.054, 0.002), (0.053, 0.053, 0.052), shape="bowl"),
    "alphabet_soup": Box((-0.031, -0.039, -0.035), (0.031, 0.038, 0.028), shape="can"),
    "bbq_sauce": Box((-0.023, -0.015, -0.055), (0.023, 0.015, 0.052)),
    "butter": Box((-0.038, -0.020, -0.009), (0.038, 0.020, 0.009)),
    "chocolate_pudding": Box((-0.041, -0.023, -0.013), (0.041, 0.023, 0.014)),
    "cream_cheese": Box((-0.041, -0.021, -0.009), (0.041, 0.021, 0.009)),
    "ketchup": Box((-0.028, -0.072, -0.018), (0.029, 0.073, 0.019)),
    "milk": Box((-0.026, -0.070, -0.026), (0.027, 0.061, 0.026)),
    "orange_juice": Box((-0.027, -0.070, -0.026), (0.026, 0.061, 0.026)),
    "salad_dressing": Box((-0.027, -0.073, -0.018), (0.025, 0.073, 0.018)),
    "tomato_sauce": Box((-0.031, -0.039, -0.034), (0.031, 0.038, 0.028), shape="can"),
}
"""What the hand can hold, by name without the number."""

OTHER_BOX = Box((-0.05, -0.05, -0.05), (0.05, 0.05, 0.05))
OBSTACLES = BOXES | {
    "basket": Box((-0.084, -0.079, 0.004), (0.085, 0.079, 0.146)),
    "cookies": Box((-0.031, -0.041, -0.009), (0.031, 0.041, 0.009)),
    "flat_stove": Box((-0.052, -0.095, -0.020), (0.245, 0.095, 0.050)),
    "glazed_rim_porcelain_ramekin": Box((-0.045, -0.044, 0.001), (0.045, 0.045, 0.043)),
    "plate": Box((-0.068, -0.068, -0.003), (0.070, 0.069, 0.016)),
    "wooden_cabinet": Box((-0.123, -0.109, 0.005), (0.131, 0.112, 0.223)),
}
"""And what the hand has to mind."""


@dataclass(frozen=True)
class Placed:
    """A box at its pose: what of it matters to a hand from above. World frame, metres."""

    centre: FloatArray
    """(3,)"""
    top: float
    bottom: float
    sides: tuple[tuple[float, float], ...]
    """Of its two sides that are most level: direction in rad about the vertical, half its length
    in metres."""

    @property
    def radius(self) -> float:
        """Of the disc with the area that it covers."""
        (_, first), (_, second) = self.sides
        return float(2.0 * np.sqrt(first * second / np.pi))


def kind_of(name: str) -> str:
    """Return "butter" of "butter_1"."""
    return name.rsplit("_", 1)[0]


def placed(box: Box, pose: ObjectPose) -> Placed:
    """Return the box as it lies."""
    rotation = Rotation.from_quat(pose.quaternion).as_matrix()
    centre = pose.position + rotation @ box.centre
    reach = float(np.abs(rotation[2]) @ box.half)
    upright = int(np.argmax(np.abs(rotation[2])))
    sides = tuple(
        (float(np.arctan2(rotation[1, axis], rotation[0, axis])), float(box.half[axis]))
        for axis in range(3)
        if axis != upright
    )
    return Placed(centre, centre[2] + reach, centre[2] - reach, sides)


def placed_object(name: str, pose: ObjectPose) -> Placed:
    """Return an object of a scene as it lies; one of unknown size counts as 10 cm wide."""
    return placed(OBSTACLES.get(kind_of(name), OTHER_BOX), pose)
