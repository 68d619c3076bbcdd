"""The parameters of a bridge that let a person take over."""

from __future__ import annotations

from dataclasses import dataclass

from vla_sae_ros.core.parameters import parameter
from vla_sae_ros.core.person import PersonLimits

JOINT_SPEED = 1.0
"""[rad/s] of one joint that a person may ask for."""


@dataclass(frozen=True)
class PersonParameters:
    """Every bridge's."""

    teleop_timeout: float = parameter(
        0.25,
        "how long a person's command is valid, counted from its stamp; then the arm holds still",
        unit="s",
        minimum=0.05,
        maximum=2.0,
    )
    teleop_linear: float = parameter(
        0.25,
        "largest tool speed of a person's twist; faster ones are refused",
        unit="m/s",
        minimum=0.01,
        maximum=1.0,
    )
    teleop_angular: float = parameter(
        1.0,
        "largest angular speed of a person's twist; faster ones are refused",
        unit="rad/s",
        minimum=0.01,
        maximum=3.0,
    )


def person_limits(values: PersonParameters) -> PersonLimits:
    """Return what a person may ask for."""
    return PersonLimits(
        values.teleop_linear, values.teleop_angular, JOINT_SPEED, values.teleop_timeout
    )
