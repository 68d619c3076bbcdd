"""The process that draws: takes the states of one scene from shared memory, puts pictures there.

    python -m vla_sae_ros.sim.render_process '<Job as JSON>'

Two open files come from the process that started it: the compiled model, and a block that holds a
state and behind it the pictures. It answers every line on its standard input by one on its standard
output, "drawn" after a "draw", and ends when its input does.
"""

from __future__ import annotations

import json
import mmap
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import IO, Any

import mujoco
import numpy as np

from vla_sae_ros.sim.drawn_state import block_size, read_state
from vla_sae_ros.sim.environment import ImageArray

READY, DRAW, DRAWN = "ready", "draw", "drawn"
MAX_GEOMS = 1000
"""As robosuite's own renderer allots."""
NICE = 5
"""Physics and executed actions come before pictures where cores are scarce."""


@dataclass(frozen=True)
class Job:
    """What is drawn, and where it is found."""

    model_file: int
    """Descriptor of the compiled model (mj_saveModel)."""
    block_file: int
    """Descriptor of the shared block."""
    state_bytes: int
    """Of the block, before the pictures."""
    cameras: tuple[str, ...]
    """Names in the model; their pictures follow one another in the block."""
    size: int
    """[pixels] height and width of a picture."""
    reflections: bool
    geom_groups: tuple[int, ...]
    site_groups: tuple[int, ...]
    """Which groups are drawn, as in an MjvOption."""

    @property
    def picture_bytes(self) -> int:
        """Of one camera."""
        return self.size * self.size * 3

    @property
    def block_bytes(self) -> int:
        """Of state and pictures together."""
        return self.state_bytes + len(self.cameras) * self.picture_bytes

    def to_text(self) -> str:
        """Return the job as JSON."""
        return json.dumps(asdict(self))

    @staticmethod
    def from_text(text: str) -> Job:
        """Return the job that `to_text` wrote."""
        values: dict[str, Any] = json.loads(text)
        for name in ("cameras", "geom_groups", "site_groups"):
            values[name] = tuple(values[name])
        return Job(**values)

    def pictures(self, block: memoryview) -> list[ImageArray]:
        """Return the cameras' pictures (size, size, 3) in the block, as views."""
        shape, each = (self.size, self.size, 3), self.picture_bytes
        return [
            np.frombuffer(block, np.uint8, each, self.state_bytes + number * each).reshape(shape)
            for number in range(len(self.cameras))
        ]


class SceneDrawer:
    """Draws the scene of a job into its block."""

    def __init__(self, job: Job) -> None:
        self._model = mujoco.MjModel.from_binary_path(f"/proc/self/fd/{job.model_file}")
        os.close(job.model_file)  # the last one that holds it: its memory is free
        self._data = mujoco.MjData(self._model)
        mujoco.mj_forward(self._model, self._data)
        expected = block_size(self._model, self._data)
        if expected != job.state_bytes:
            raise RuntimeError(f"a state has {job.state_bytes} bytes, this scene's {expected}")
        self._block = memoryview(mmap.mmap(job.block_file, job.block_bytes))
        self._pictures = job.pictures(self._block)
        self._cameras = job.cameras
        self._renderer = mujoco.Renderer(self._model, job.size, job.size, MAX_GEOMS)
        self._view = mujoco.MjvOption()
        self._view.geomgroup[:] = job.geom_groups
        self._view.sitegroup[:] = job.site_groups
        self._reflections = job.reflections

    def draw(self) -> None:
        """Draw the state in the block with every camera."""
        read_state(self._block, self._model, self._data)
        for camera, place in zip(self._cameras, self._pictures, strict=True):
            self._renderer.update_scene(self._data, camera, self._view)
            self._renderer.scene.flags[mujoco.mjtRndFlag.mjRND_REFLECTION] = self._reflections
            # Upright, and mirrored: what LIBERO's half turn makes of a picture that stands on its
            # head.
            np.copyto(place, self._renderer.render()[:, ::-1])


def serve(drawer: SceneDrawer, requests: Iterator[str], answers: IO[str]) -> None:
    """Answer requests until there are no more."""
    print(READY, file=answers, flush=True)
    for line in requests:
        if line.strip() == DRAW:
            drawer.draw()
            print(DRAWN, file=answers, flush=True)


def main(text: str) -> int:
    """Serve one job; return the exit status."""
    os.nice(NICE)
    # Whatever a library prints must not be taken for an answer.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    serve(SceneDrawer(Job.from_text(text)), iter(sys.stdin.readline, ""), answers)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1]))
