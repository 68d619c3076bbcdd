"""What a picture of a MuJoCo scene depends on, as one flat block of memory.

Poses are copied rather than computed anew from qpos: after a control step they lag one physics
substep behind qpos, and a picture has to show what the same step's observation says.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

POSES = (
    "xpos",
    "xquat",
    "xmat",
    "xipos",
    "ximat",
    "geom_xpos",
    "geom_xmat",
    "site_xpos",
    "site_xmat",
    "cam_xpos",
    "cam_xmat",
    "light_xpos",
    "light_xdir",
    "ten_wrapadr",
    "ten_wrapnum",
    "wrap_obj",
    "wrap_xpos",
    "flexvert_xpos",
    "qpos",
    "mocap_pos",
    "mocap_quat",
    "userdata",
    "ctrl",
    "act",
    "sensordata",
)
"""Arrays of an MjData from which mjv_updateScene makes its picture."""

LOOKS = (
    "geom_rgba",
    "geom_group",
    "geom_size",
    "geom_matid",
    "site_rgba",
    "site_group",
    "site_size",
    "site_matid",
    "mat_rgba",
    "mat_emission",
    "cam_fovy",
    "light_active",
    "light_ambient",
    "light_diffuse",
    "light_specular",
    "tendon_rgba",
)
"""Arrays of an MjModel that scenes change while they run: LIBERO's stove lights up by a site's
colour."""

ALIGNMENT = 8
"""[bytes] at whose multiples the arrays of a block begin."""


def block_size(model: Any, data: Any) -> int:
    """Return the bytes that the state of such a scene takes."""
    return sum(_padded(array.nbytes) for array in _drawn(model, data))


def write_state(model: Any, data: Any, block: memoryview) -> None:
    """Copy what is drawn into a block of `block_size` bytes."""
    for array, view in zip(_drawn(model, data), _views(model, data, block), strict=True):
        np.copyto(view, array)


def read_state(block: memoryview, model: Any, data: Any) -> None:
    """Make model and data look as those that were written."""
    for array, view in zip(_drawn(model, data), _views(model, data, block), strict=True):
        np.copyto(array, view)


def _drawn(model: Any, data: Any) -> list[npt.NDArray[Any]]:
    # Not every version of MuJoCo has every field; both sides run the same one.
    found = [getattr(data, name) for name in POSES if hasattr(data, name)]
    return found + [getattr(model, name) for name in LOOKS if hasattr(model, name)]


def _views(model: Any, data: Any, block: memoryview) -> list[npt.NDArray[Any]]:
    views, start = [], 0
    for array in _drawn(model, data):
        view = np.frombuffer(block, array.dtype, array.size, start).reshape(array.shape)
        views.append(view)
        start += _padded(array.nbytes)
    return views


def _padded(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT
