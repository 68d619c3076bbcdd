"""The DROID-like scene at work: follows a robot's joints, moves its objects, takes its pictures."""

from __future__ import annotations

import mujoco
import numpy as np
import numpy.typing as npt

from vla_sae_ros.core.errors import SimulationError, complaint
from vla_sae_ros.sim.droid_scene import ARM, CAMERAS, CLOSED, FINGERS, OBJECTS, build_scene
from vla_sae_ros.sim.environment import FloatArray, ImageArray

LONGEST_STEP = 0.2
"""[s] that the objects are moved at once; a scene that was held up longer leaves the rest out."""
SETTLING = 0.4
"""[s] that the objects are given to come to rest at first."""


class DroidWorld:
    """Not thread-safe: made and used on one thread, which owns the GL context.

    Args:
        width, height: of the pictures, pixels.
        q: (7,) [rad] where the arm stands at first.
        thin: see build_scene.
    """

    def __init__(self, width: int, height: int, q: FloatArray, thin: bool = True) -> None:
        self._model = build_scene(thin)
        self._model.vis.quality.offsamples = 0 if thin else 4
        self._model.vis.global_.offwidth, self._model.vis.global_.offheight = width, height
        self._data = mujoco.MjData(self._model)
        joints = [self._model.joint(f"{ARM}joint{number}") for number in range(1, 8)]
        self._q = np.array([joint.qposadr[0] for joint in joints])
        self._v = np.array([joint.dofadr[0] for joint in joints])
        self._fingers = [self._model.actuator(name).id for name in FINGERS]
        self._renderer = mujoco.Renderer(self._model, height, width)
        self._view = mujoco.MjvOption()
        self._view.geomgroup[:] = [1, 1, 0, 0, 0, 0]
        self._view.sitegroup[:] = 0
        self._full = not thin
        self._arm = q.astype(float)
        self._data.qpos[self._q] = self._arm
        self.advance(SETTLING, q, 0.0)

    def advance(self, elapsed: float, q: FloatArray, closing: float) -> None:
        """Move on by `elapsed` s, the arm evenly to (7,) rad, the gripper towards `closing`.

        Raises SimulationError for joints that are not seven finite numbers.
        """
        if q.shape != (7,) or not np.isfinite(q).all():
            raise SimulationError(complaint("joints for the scene", q.tolist(), "7 finite numbers"))
        steps = max(
            1,
            round(
                min(elapsed, LONGEST_STEP if elapsed != SETTLING else SETTLING)
                / self._model.opt.timestep
            ),
        )
        velocity = (q - self._arm) / (steps * self._model.opt.timestep)
        start = self._arm
        self._data.ctrl[self._fingers] = CLOSED * float(np.clip(closing, 0.0, 1.0))
        for step in range(1, steps + 1):
            mujoco.mj_step(self._model, self._data)
            # The arm is where the robot says: nothing in the scene pushes it back.
            self._data.qpos[self._q] = start + (q - start) * (step / steps)
            self._data.qvel[self._v] = velocity
        self._arm = q.astype(float)
        mujoco.mj_forward(self._model, self._data)

    def picture(self, camera: str) -> ImageArray:
        """Return what one of CAMERAS sees, (height, width, 3) uint8 RGB."""
        if camera not in CAMERAS:
            raise SimulationError(complaint("camera", camera, ", ".join(CAMERAS)))
        self._renderer.update_scene(self._data, camera, self._view)
        flags = self._renderer.scene.flags
        flags[mujoco.mjtRndFlag.mjRND_SHADOW] = self._full
        flags[mujoco.mjtRndFlag.mjRND_REFLECTION] = self._full
        return self._renderer.render().copy()

    def positions(self) -> dict[str, npt.NDArray[np.float64]]:
        """Return where the objects are, (3,) [m] in the robot's base frame."""
        return {name: self._data.body(name).xpos.copy() for name in OBJECTS}

    def tool(self) -> npt.NDArray[np.float64]:
        """Return the point between the finger tips, (3,) [m]."""
        return self._data.site("hand_grip_site").xpos.copy()

    def close(self) -> None:
        """Free the GL context."""
        self._renderer.close()
