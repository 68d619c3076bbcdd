"""Which Python runs a node where ROS was installed by apt.

PyTorch, lerobot and LIBERO need newer packages than apt has. `make ros` puts them into a virtual
environment, .venv-ros beside the sources. Nodes that import them run there. The other nodes run in
ROS's own Python, and find there what apt does not have (`ros_python_packages`).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.core.parameters import Parameter
from vla_sae_ros.resources import made_environment

VARIABLE = "VLA_SAE_POLICY_PYTHON"
"""Environment variable: the interpreter for nodes that import PyTorch, lerobot or LIBERO."""

POLICY_PYTHON = Parameter(
    "policy_python",
    "",
    "Python for the nodes that import PyTorch, lerobot or LIBERO; empty = the active virtual "
    "environment, or the one that `make ros` made",
)
"""The argument of launch files. `vla-sae up` runs every node in its own Python."""


def policy_python(environ: Mapping[str, str] = os.environ) -> str:
    """Return the interpreter that has the packages of a policy.

    In this order: the one that VARIABLE names, the active virtual environment's, the one that
    `make ros` made, this one.

    Raises:
        ConfigurationError: VARIABLE names no program.
    """
    if given := environ.get(VARIABLE, ""):
        return checked_python(given, f"environment variable {VARIABLE}")
    if active := environ.get("VIRTUAL_ENV", ""):
        python = Path(active, "bin", "python")
        if python.is_file():
            return str(python)
    made = made_environment()
    return str(made / "bin" / "python") if made else sys.executable


def checked_python(given: str, what: str) -> str:
    """Return `given` as an absolute path; raises ConfigurationError where no program is."""
    path = Path(given).expanduser().absolute()
    if not os.access(path, os.X_OK) or path.is_dir():
        raise ConfigurationError(complaint(what, given, "path of a Python interpreter"))
    return str(path)


def enter_environment() -> None:
    """Go on in the interpreter that has the packages of a policy, unless this is the one.

    For the first lines of a script: the process stays the same, its program is started again.
    """
    if in_virtual_environment() and not os.environ.get(VARIABLE):
        return  # chosen by whoever started this script
    try:
        python = policy_python()
    except ConfigurationError as error:
        sys.exit(f"{Path(sys.argv[0]).name}: {error}")
    if Path(python) != Path(sys.executable):
        os.execv(python, [python, *sys.argv])


def in_virtual_environment() -> bool:
    """Whether this interpreter is one of a virtual environment."""
    return sys.prefix != sys.base_prefix
