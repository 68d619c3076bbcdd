"""Whether the robot is the one whose limits were chosen: it tells its own in a URDF."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass

import numpy as np

from vla_sae_ros.robot.driver import Joints
from vla_sae_ros.robot.settings import RobotSettings

WIDER = 0.006
"""[rad, rad/s] by which a published limit may exceed the robot's own; tables are rounded."""


@dataclass(frozen=True)
class Model:
    """What a URDF says of an arm."""

    name: str
    lower: Joints
    """(N,) [rad]"""
    upper: Joints
    """(N,) [rad]"""
    velocity: Joints
    """(N,) [rad/s]"""


def model_of(urdf: str) -> Model | None:
    """Return the revolute joints of a URDF, base to flange; None where it has no limits."""
    try:
        root = ElementTree.fromstring(urdf)
    except ElementTree.ParseError:
        return None
    limits = [
        joint.find("limit")
        for joint in root.iter("joint")
        if joint.get("type") == "revolute" and joint.find("limit") is not None
    ]
    try:
        values = np.array(
            [
                [float(limit.get(key, "nan")) for key in _KEYS]
                for limit in limits
                if limit is not None
            ]
        )
    except ValueError:
        return None
    if not len(values):
        return None
    return Model(root.get("name", ""), values[:, 0], values[:, 1], values[:, 2])


_KEYS = ("lower", "upper", "velocity")


def misfit(model: Model, settings: RobotSettings) -> str:
    """Return in words why these settings are another robot's; empty when they fit."""
    ours, joints = settings.published, settings.joints
    if len(model.lower) < joints:
        return f"the robot {model.name!r} reports {len(model.lower)} joints instead of {joints}"
    for what, unit, excess, told, allowed in (
        ("lower end", "rad", model.lower[:joints] - ours.lower, model.lower, ours.lower),
        ("upper end", "rad", ours.upper - model.upper[:joints], model.upper, ours.upper),
        (
            "velocity limit",
            "rad/s",
            settings.limits.velocity - model.velocity[:joints],
            model.velocity,
            settings.limits.velocity,
        ),
    ):
        joint = int(np.argmax(np.nan_to_num(excess, nan=-np.inf)))  # NaN: it does not say
        if excess[joint] > WIDER:
            return (
                f"the robot calls itself {model.name!r} and reports {told[joint]:.4g} {unit} as "
                f"the {what} of joint {joint + 1}; the limits of {settings.robot!r} have "
                f"{allowed[joint]:.4g} {unit}. Choose the robot's own file: robot:=fr3, "
                "robot:=panda or a file of yours"
            )
    return ""
