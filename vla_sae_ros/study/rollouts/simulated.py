"""What an episode needs of its environment; neither a policy nor torch is imported in here."""

from __future__ import annotations

import numpy as np

from vla_sae_ros.sim.conventions import libero_state
from vla_sae_ros.sim.environment import Environment, FloatArray, Observation

IN_BASKET_M = 0.09


def policy_frame(environment: Environment, observation: Observation) -> dict[str, np.ndarray]:
    """Return what a policy sees: every camera's (H, W, 3) uint8 picture and the state (8,)."""
    frame: dict[str, np.ndarray] = {
        f"observation.images.{camera}": environment.render(camera) for camera in environment.cameras
    }
    frame["observation.state"] = libero_state(observation).astype(np.float32)
    return frame


def executable(action: np.ndarray) -> FloatArray:
    """Return a policy's action (7,) as the environment takes it: float64, within [-1, 1]."""
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
