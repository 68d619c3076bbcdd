"""The systems that can be asked for by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from vla_sae_ros.systems.arguments import Argument
from vla_sae_ros.systems.robots import (
    REHEARSAL_ARGUMENTS,
    ROBOT_ARGUMENTS,
    rehearsal_system,
    robot_system,
)
from vla_sae_ros.systems.simulation import SIMULATION_ARGUMENTS, System, simulation_system


@dataclass(frozen=True)
class SystemKind:
    """A system that can be asked for by name: `describe` takes values for `arguments`."""

    summary: str
    arguments: tuple[Argument, ...]
    describe: Callable[[Mapping[str, object]], System]


SYSTEMS = {
    "sim": SystemKind(
        "a policy in LIBERO, its features and the recorder", SIMULATION_ARGUMENTS, simulation_system
    ),
    "droid": SystemKind(
        "a policy on a Franka with DROID's conventions, its features and the recorder",
        ROBOT_ARGUMENTS,
        robot_system,
    ),
    "droid-sim": SystemKind(
        "the same against a simulated Franka and table: a rehearsal without hardware",
        REHEARSAL_ARGUMENTS,
        rehearsal_system,
    ),
}
