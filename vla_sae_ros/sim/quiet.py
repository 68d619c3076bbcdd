"""Importing robosuite and LIBERO without their console noise and fixed log file."""

from __future__ import annotations

import os
import sys
from types import ModuleType

from vla_sae_ros.core.errors import ConfigurationError, complaint

GL_BACKENDS = ("osmesa", "egl", "glx")


def prepare_simulator_imports() -> None:
    """Choose the GL backend and robosuite's macros; call before importing robosuite.

    robosuite reads an optional module `robosuite.macros_private` and warns three times when it is
    missing; it also opens a log file at a fixed path that two users of one machine fight
    over. An empty private module answers the first, clearing the level answers the second.
    Raises ConfigurationError when MUJOCO_GL names a backend that robosuite would replace.
    """
    backend = os.environ.setdefault("MUJOCO_GL", "osmesa")
    if backend not in GL_BACKENDS:
        raise ConfigurationError(
            complaint("The environment variable MUJOCO_GL names an unusable GL backend", backend,
                      " or ".join(GL_BACKENDS), "Unset it to render headless with osmesa.")
        )
    # PyOpenGL chooses its platform at its own first import, independently of MuJoCo.
    os.environ.setdefault("PYOPENGL_PLATFORM", backend)
    if "robosuite" in sys.modules:
        return
    sys.modules.setdefault("robosuite.macros_private", ModuleType("robosuite.macros_private"))
    _silence_fixed_log_file()


def _silence_fixed_log_file() -> None:
    """Give robosuite's logger module no file to open.

    The macro module cannot be edited before the package is imported, and importing the package
    opens the file: so the class that would open it is replaced for the time of the import.
    """
    import logging

    original = logging.FileHandler
    try:
        logging.FileHandler = _DiscardingFileHandler  # type: ignore[misc, assignment]
        import robosuite  # noqa: F401
    finally:
        logging.FileHandler = original  # type: ignore[misc]


def _make_discarding_handler() -> type:
    import logging

    class DiscardingFileHandler(logging.NullHandler):
        """Accepts a file name and writes nothing."""

        def __init__(self, filename: str, *_args: object, **_kwargs: object) -> None:
            super().__init__()

    return DiscardingFileHandler


_DiscardingFileHandler = _make_discarding_handler()
