"""What an environment shows, as lerobot's own processors make it for a policy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from gymnasium import Space
from gymnasium.vector.utils import create_empty_array
from lerobot.envs.configs import EnvConfig
from lerobot.envs.utils import preprocess_observation
from lerobot.utils.constants import ACTION, OBS_STR

from vla_sae_ros.core.errors import SimulationError

Frame = dict[str, npt.NDArray[Any]]
"""Policy feature -> (H, W, 3) uint8 RGB, or (n,) float32."""


class Processors:
    """lerobot's steps between an environment and a policy, both ways, for a batch of one."""

    def __init__(self, config: EnvConfig) -> None:
        self._before, self._after = config.get_env_processors()

    def frame(self, observation: Mapping[str, Any], task: str) -> Frame:
        """Return what a policy sees of a batched observation.

        What is neither a picture nor a vector after lerobot's steps is left out: no policy of
        lerobot's takes it.

        Raises:
            SimulationError: it shows nothing that a policy sees.
        """
        batch = preprocess_observation(dict(observation))
        batch["task"] = [task]
        seen = {
            str(key): value[0]
            for key, value in self._before(batch).items()
            if isinstance(value, torch.Tensor) and str(key).startswith(f"{OBS_STR}.")
        }
        pictures = {key: _picture(value) for key, value in seen.items() if value.ndim == 3}
        vectors = {key: value.float().numpy() for key, value in seen.items() if value.ndim == 1}
        if not pictures and not vectors:
            raise SimulationError(
                f"The environment has no observation that a policy can use: {sorted(seen)}."
            )
        return pictures | vectors

    def action(self, action: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Return an action (A,) of a policy as a batch (1, A) for the environment."""
        values = torch.from_numpy(np.asarray(action, np.float32))[None]
        processed: torch.Tensor = self._after({ACTION: values})[ACTION]
        return processed.numpy()


def blank_observation(space: Space) -> Any:
    """Return a batch of one of zeros: it has the names and shapes of every observation."""
    return create_empty_array(space, n=1, fn=np.zeros)


def batch_of_one(observation: Any) -> Any:
    """Return a single observation, nested or not, as a batch."""
    if isinstance(observation, Mapping):
        return {key: batch_of_one(value) for key, value in observation.items()}
    return np.asarray(observation)[None]


def _picture(value: torch.Tensor) -> npt.NDArray[np.uint8]:
    # lerobot made floats in [0, 1] of the pixels; this gives every one of them back.
    pixels = (value * 255.0).round().clamp(0, 255).to(torch.uint8)
    return np.ascontiguousarray(pixels.permute(1, 2, 0).numpy())
