"""The toy scene with the pictures that a real policy looks at; importable by another process."""

from __future__ import annotations

import numpy as np
from toy_setup import ToyScene


class PicturedScene(ToyScene):
    cameras = ("agentview", "wrist")

    def render(self, camera: str) -> np.ndarray:
        return np.full((256, 256, 3), int(self._hand[2] * 200) % 256, np.uint8)


def pictured(*_named: str) -> PicturedScene:
    """In the place of `batched_runs.scene_of`."""
    return PicturedScene()
