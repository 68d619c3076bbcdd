"""What an episode needs of its environment; neither a policy nor torch is imported in here."""

from __future__ import annotations

import numpy as np

from vla_sae_ros.core.contract import bounded_action
from vla_sae_ros.core.steering.condition import READINGS
from vla_sae_ros.sim.conventions import STATE_NAMES, known_readings, libero_state
from vla_sae_ros.sim.environment import Environment, FloatArray, Observation
from vla_sae_ros.sim.own_contract import OwnContract, frame_of

IN_BASKET_M = 0.09


def offered_features(environment: Environment) -> dict[str, tuple[int, ...] | None]:
    """Return the keys of `policy_frame` with their shapes, None for pictures."""
    if isinstance(environment, OwnContract):
        return environment.contract.offered
    offered: dict[str, tuple[int, ...] | None] = {
        f"observation.images.{camera}": None for camera in environment.cameras
    }
    return {**offered, "observation.state": (len(STATE_NAMES),)}


def own_names(environment: Environment) -> dict[str, str]:
    """Return what a policy calls the environment's observations, by its contract's `map`."""
    return dict(environment.contract.names) if isinstance(environment, OwnContract) else {}


def policy_frame(environment: Environment, observation: Observation) -> dict[str, np.ndarray]:
    """Return what a policy sees: pictures (H, W, 3) uint8 and float32 vectors, by feature.

    LIBERO's cameras and its state, or what the environment's own contract says.
    """
    if isinstance(environment, OwnContract):
        return frame_of(environment, environment.contract, observation)
    frame: dict[str, np.ndarray] = {
        f"observation.images.{camera}": environment.render(camera) for camera in environment.cameras
    }
    frame["observation.state"] = libero_state(observation).astype(np.float32)
    return frame


def scene_readings(environment: Environment) -> frozenset[str]:
    """Return the kinds of readings that conditions can take of the environment's observations."""
    if isinstance(environment, OwnContract):
        return known_readings(environment.contract)
    return frozenset(READINGS)


def executable(environment: Environment, action: np.ndarray) -> FloatArray:
    """Return a policy's action (A,) as the environment takes it: float64, within its bounds.

    They are [-1, 1] in LIBERO, elsewhere those of the environment's own contract.
    """
    if isinstance(environment, OwnContract):
        return bounded_action(environment.contract.action, action).values.astype(np.float64)
    return np.clip(action, -1.0, 1.0).astype(np.float64)


def objects_in_basket(positions: dict[str, FloatArray]) -> tuple[str, ...]:
    """Return the objects within 9 cm of the basket's centre in the plane, by name."""
    if "basket_1" not in positions:
        return ()
    basket = positions["basket_1"]
    return tuple(
        name
        for name, position in sorted(positions.items())
        if name != "basket_1" and abs(position[:2] - basket[:2]).max() < IN_BASKET_M
    )
