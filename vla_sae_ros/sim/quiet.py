"""Importing robosuite and LIBERO without their console noise and fixed log file."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from types import ModuleType
from unittest import mock

from vla_sae_ros.core.errors import ConfigurationError, complaint

GL_BACKENDS = ("osmesa", "egl", "glx")


class DiscardingFileHandler(logging.NullHandler):
    """Takes a log file's name and never opens it."""

    def __init__(self, filename: str, *_args: object, **_kwargs: object) -> None:
        super().__init__()


def choose_gl_backend() -> None:
    """Let MuJoCo draw without a display, unless MUJOCO_GL says how; call before it is imported.

    Raises ConfigurationError when that names a backend that robosuite would replace, or PyOpenGL is
    told another one.
    """
    backend = os.environ.setdefault("MUJOCO_GL", "osmesa")
    if backend not in GL_BACKENDS:
        raise ConfigurationError(
            complaint(
                "The environment variable MUJOCO_GL names an unusable GL backend",
                backend,
                " or ".join(GL_BACKENDS),
                "Unset it to render headless with osmesa.",
            )
        )
    if backend != "glx":
        # PyOpenGL chooses its platform at its own first import, independently of MuJoCo.
        platform = os.environ.setdefault("PYOPENGL_PLATFORM", backend) or backend
        if platform.lower() != backend:
            raise ConfigurationError(
                complaint(
                    f"The environment variable PYOPENGL_PLATFORM, with MUJOCO_GL={backend}",
                    platform,
                    backend,
                    "Unset it, or set both to the same backend; MuJoCo does not draw otherwise.",
                )
            )


def prepare_simulator_imports() -> None:
    """Choose the GL backend and import robosuite quietly; call before any LIBERO import.

    robosuite reads an optional module `robosuite.macros_private` and warns three times when it is
    missing: an empty one answers that. It also opens a log file at a fixed path, which two users of
    one machine cannot share; nothing can be configured before that happens, so the class that
    would open it is replaced for the time of the import.
    Raises ConfigurationError when MUJOCO_GL names a backend that robosuite would replace.
    """
    choose_gl_backend()
    if "robosuite" in sys.modules:
        return
    sys.modules.setdefault("robosuite.macros_private", ModuleType("robosuite.macros_private"))
    with mock.patch("logging.FileHandler", DiscardingFileHandler), warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)
        import robosuite  # noqa: F401
